//! A downstream API that says what a test wants, byte for byte, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// One connection, after the head of its only request.
pub struct Connection {
    pub stream: TcpStream,
    /// What came behind the head so far.
    pub rest: Vec<u8>,
}

impl Connection {
    pub async fn say(&mut self, text: &str) {
        // Whoever asked may have gone.
        let _ = self.stream.write_all(text.as_bytes()).await;
    }

    /// Everything behind the head until it holds `end`, or nothing comes any more.
    pub async fn read_until(&mut self, end: &str) -> String {
        while !String::from_utf8_lossy(&self.rest).contains(end) {
            if !self.read_some().await {
                break;
            }
        }
        String::from_utf8_lossy(&self.rest).into_owned()
    }

    /// Whether anything came.
    pub async fn read_some(&mut self) -> bool {
        let mut buffer = vec![0; 16 * 1024];
        match self.stream.read(&mut buffer).await {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.rest.extend_from_slice(&buffer[..length]);
                true
            }
        }
    }
}

/// A server on loopback, over plain HTTP.
#[derive(Clone)]
pub struct Downstream {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Downstream {
    /// Each connection is `talk`'s after the head of its request.
    pub async fn new<F, T>(talk: F) -> Self
    where
        F: Fn(Connection) -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let known = heads.clone();
        let talk = Arc::new(talk);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (known, talk) = (known.clone(), talk.clone());
                tokio::spawn(async move {
                    if let Some((head, connection)) = head(stream).await {
                        known.lock().expect("heads").push(head);
                        talk(connection).await;
                    }
                });
            }
        });
        Self { address, heads }
    }

    /// Says the same to everybody, and closes.
    pub async fn answering(text: &'static str) -> Self {
        Self::new(move |mut connection| async move { connection.say(text).await }).await
    }

    /// The heads of requests so far, in lower case.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("heads").clone()
    }
}

async fn head(stream: TcpStream) -> Option<(String, Connection)> {
    let mut connection = Connection { stream, rest: Vec::new() };
    let end = loop {
        let found = connection.rest.windows(4).position(|four| four == b"\r\n\r\n");
        match found {
            Some(place) => break place + 4,
            None if connection.read_some().await => {}
            None => return None,
        }
    };
    let rest = connection.rest.split_off(end);
    let head = String::from_utf8_lossy(&connection.rest).to_lowercase();
    connection.rest = rest;
    Some((head, connection))
}
