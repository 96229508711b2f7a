//! A downstream API that says what a test wants, byte for byte, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// One connection, after the head of its only request.
pub struct Connection {
    pub stream: TcpStream,
    /// The head, in lower case.
    pub head: String,
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

    /// The body that the head announces, as far as it came. What came behind it stays in `rest`, and nothing more is read.
    pub async fn read_body(&mut self) -> String {
        let field = |name: &str| self.head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if field("transfer-encoding:").is_none() {
            let length = field("content-length:").map_or(0, |text| text.parse().expect("a length"));
            return self.take(length).await;
        }
        let mut body = String::new();
        loop {
            let size = self.take_line().await;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16);
            match size {
                Ok(0) => break,
                Ok(size) => body += &self.take(size).await,
                Err(_) => return body,
            }
            self.take_line().await;
        }
        // Trailers, up to an empty line.
        while !self.take_line().await.is_empty() {}
        body
    }

    async fn take(&mut self, length: usize) -> String {
        while self.rest.len() < length && self.read_some().await {}
        let behind = self.rest.split_off(length.min(self.rest.len()));
        String::from_utf8_lossy(&std::mem::replace(&mut self.rest, behind)).into_owned()
    }

    async fn take_line(&mut self) -> String {
        loop {
            if let Some(place) = self.rest.windows(2).position(|two| two == b"\r\n") {
                return self.take(place + 2).await.trim_end().to_owned();
            }
            if !self.read_some().await {
                return self.take(self.rest.len()).await;
            }
        }
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
                    if let Some(connection) = connected(stream).await {
                        known.lock().expect("heads").push(connection.head.clone());
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

async fn connected(stream: TcpStream) -> Option<Connection> {
    let mut connection = Connection { stream, head: String::new(), rest: Vec::new() };
    let end = loop {
        let found = connection.rest.windows(4).position(|four| four == b"\r\n\r\n");
        match found {
            Some(place) => break place + 4,
            None if connection.read_some().await => {}
            None => return None,
        }
    };
    let rest = connection.rest.split_off(end);
    connection.head = String::from_utf8_lossy(&connection.rest).to_lowercase();
    connection.rest = rest;
    Some(connection)
}
