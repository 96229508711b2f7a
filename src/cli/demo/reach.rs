//! Where the demo's phone page listens, and where a phone in the same network finds it.
//!
//! Without `--bind` it is on loopback only. With it, it is on that address too, and on loopback as before: the
//! control interface and the practice's software are for this machine only, and loopback is how this machine is known.

use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::qr;
use crate::cli::output::say;
use crate::domain::texts::Language;
use crate::practice;

/// Addresses that only documentation uses (RFC 5737, RFC 3849): nothing is sent to them.
const SOMEWHERE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// Where the phone page is.
pub(super) struct Reach {
    /// Where to listen.
    pub control: SocketAddr,
    /// Where else.
    pub also_on: Option<SocketAddr>,
    /// Where this machine finds it.
    local: SocketAddr,
    /// Where others do; the likeliest first. `None` where nobody else was to find it.
    others: Option<Vec<SocketAddr>>,
}

impl Reach {
    pub(super) fn new(bind: Option<IpAddr>, port: u16) -> Self {
        Self::with(bind, port, own_addresses)
    }

    fn with(bind: Option<IpAddr>, port: u16, own_addresses: impl FnOnce(IpAddr) -> Vec<IpAddr>) -> Self {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let at = |address| SocketAddr::new(address, port);
        match bind {
            None => Self { control: local, also_on: None, local, others: None },
            Some(address) if address == local.ip() => Self::with(None, port, own_addresses),
            Some(any) if any.is_unspecified() => {
                let others = own_addresses(any).into_iter().map(at).collect();
                Self { control: at(any), also_on: None, local, others: Some(others) }
            }
            Some(one) => Self { control: local, also_on: Some(at(one)), local, others: Some(vec![at(one)]) },
        }
    }

    /// What a person can open: from a phone where that is possible, else on this machine.
    pub(super) fn url(&self) -> String {
        let first = self.others.as_ref().and_then(|others| others.first());
        format!("http://{}", first.unwrap_or(&self.local))
    }

    /// Says what to open where.
    pub(super) fn tell(&self, language: Language) {
        let both_sides = format!("http://{}{}", self.local, practice::PATH);
        say(match language {
            Language::French => format!("Logiciel et téléphone côte à côte\u{a0}: {both_sides}"),
            Language::English => format!("Software and phone side by side: {both_sides}"),
        });
        match self.others.as_deref() {
            None => {}
            Some([]) => say(self.nobody_else(language)),
            Some(others) => self.tell_others(others, language),
        }
    }

    fn nobody_else(&self, language: Language) -> String {
        let local = self.local;
        match language {
            Language::French => format!(
                "Aucune adresse réseau de cette machine n’a été trouvée\u{a0}: la page du téléphone ne s’ouvre que d’ici, \
                 http://{local}. Si vous en connaissez une, donnez-la à --bind."
            ),
            Language::English => format!(
                "No network address of this machine was found: the phone page opens from here only, http://{local}. \
                 If you know one, give it to --bind."
            ),
        }
    }

    fn tell_others(&self, others: &[SocketAddr], language: Language) {
        let urls: Vec<String> = others.iter().map(|address| format!("http://{address}")).collect();
        let urls = urls.join(" ");
        say(match language {
            Language::French => format!("Page du téléphone, pour un téléphone du même réseau\u{a0}: {urls}"),
            Language::English => format!("Phone page, for a phone in the same network: {urls}"),
        });
        if io::stderr().is_terminal()
            && let Some(code) = qr::drawn(&self.url(), std::env::var_os("NO_COLOR").is_none())
        {
            // Nobody reading is no failure.
            let _ = write!(io::stderr().lock(), "{code}");
        }
        say(match language {
            Language::French => {
                "Qui atteint cette page peut approuver\u{a0}; il n’y a là que des personnes de test. Le reste n’est \
                 ouvert qu’à cette machine."
            }
            Language::English => {
                "Whoever reaches that page can approve; there are only test people behind it. Everything else is \
                 open to this machine only."
            }
        });
    }
}

/// The addresses that this machine would use towards the world, of the families that listening on `any` covers.
fn own_addresses(any: IpAddr) -> Vec<IpAddr> {
    let covered = SOMEWHERE.into_iter().filter(|there| any.is_ipv6() || there.is_ipv4());
    covered.filter_map(|there| towards(there).ok()).filter(is_of_use).collect()
}

/// Connecting a datagram socket sends nothing; it makes the system choose a route, and with it an address.
fn towards(there: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if there.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((there, 9))?;
    Ok(socket.local_addr()?.ip())
}

fn is_of_use(address: &IpAddr) -> bool {
    let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    !address.is_loopback() && !address.is_unspecified() && !link_local
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(bind: Option<&str>, own: &[&str]) -> Reach {
        let own = own.iter().map(|address| address.parse().expect("an address")).collect();
        Reach::with(bind.map(|bind| bind.parse().expect("an address")), 8082, |_| own)
    }

    #[test]
    fn it_listens_where_it_should_and_says_what_a_person_can_open() {
        for (bind, own, control, also_on, url) in [
            (None, &[][..], "127.0.0.1:8082", None, "http://127.0.0.1:8082"),
            (Some("127.0.0.1"), &[], "127.0.0.1:8082", None, "http://127.0.0.1:8082"),
            (Some("::1"), &[], "127.0.0.1:8082", Some("[::1]:8082"), "http://[::1]:8082"),
            (Some("192.0.2.7"), &[], "127.0.0.1:8082", Some("192.0.2.7:8082"), "http://192.0.2.7:8082"),
            (Some("0.0.0.0"), &["192.0.2.7"], "0.0.0.0:8082", None, "http://192.0.2.7:8082"),
            (Some("0.0.0.0"), &[], "0.0.0.0:8082", None, "http://127.0.0.1:8082"),
            (Some("::"), &["192.0.2.7", "2001:db8::7"], "[::]:8082", None, "http://192.0.2.7:8082"),
            (Some("::"), &["2001:db8::7"], "[::]:8082", None, "http://[2001:db8::7]:8082"),
        ] {
            let reach = reach(bind, own);
            assert_eq!(reach.control.to_string(), control, "{bind:?}");
            assert_eq!(reach.also_on.map(|it| it.to_string()).as_deref(), also_on, "{bind:?}");
            assert_eq!(reach.url(), url, "{bind:?}");
        }
    }

    #[test]
    fn addresses_that_no_phone_can_use_are_none() {
        for (address, of_use) in [
            ("192.168.1.23", true),
            ("2001:db8::7", true),
            ("fd00::7", true),
            ("127.0.0.1", false),
            ("::1", false),
            ("0.0.0.0", false),
            ("fe80::1", false),
        ] {
            assert_eq!(is_of_use(&address.parse().expect("an address")), of_use, "{address}");
        }
    }

    #[test]
    fn what_the_system_says_is_an_address_of_this_machine() {
        for address in own_addresses(Ipv6Addr::UNSPECIFIED.into()) {
            // Only one's own addresses can be bound.
            UdpSocket::bind((address, 0)).expect("our address");
        }
        assert!(own_addresses(Ipv4Addr::UNSPECIFIED.into()).iter().all(IpAddr::is_ipv4));
    }
}
