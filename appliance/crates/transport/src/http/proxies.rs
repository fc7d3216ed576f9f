//! Who speaks: the peer, or whom a trusted proxy speaks for.
//!
//! Proxies add the address that they heard from at the end of `X-Forwarded-For`, or of `Forwarded` (RFC 7239). What
//! stands before it may be anything that a client wrote, so that only the right-most address that is no trusted proxy
//! itself means something, and only when the peer is a trusted proxy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use protocol::Principal;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Networks whose hosts say truly for whom they speak.
pub(super) struct Proxies<'p>(pub(super) &'p [IpNet]);

impl Proxies<'_> {
    /// Who is counted for a request.
    pub(super) fn principal(&self, peer: IpAddr, headers: &HeaderMap) -> Principal {
        Principal::at(self.client(peer, headers).unwrap_or(peer))
    }

    /// Whom the peer speaks for; `None` when that is nobody else, or cannot be told.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        if !self.has(peer) {
            return None;
        }
        let hops = |name, of: fn(&str) -> Hops<'_>| {
            headers.contains_key(&name).then(|| self.outermost(headers, &name, of))
        };
        match (hops(X_FORWARDED_FOR, listed), hops(FORWARDED, described)) {
            (Some(client), None) | (None, Some(client)) => client,
            // A proxy writes one of them and may let the other through as the client wrote it.
            (Some(client), Some(same)) if client == same => client,
            _ => None,
        }
    }

    fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The right-most hop that is no trusted proxy; `None` when there is none, or one after it cannot be read.
    fn outermost(
        &self,
        headers: &HeaderMap,
        name: &HeaderName,
        of: fn(&str) -> Hops<'_>,
    ) -> Option<IpAddr> {
        let mut outermost = None;
        for line in headers.get_all(name).iter().map(HeaderValue::to_str) {
            let Ok(line) = line else {
                outermost = None;
                continue;
            };
            for hop in of(line) {
                match hop {
                    Some(address) if self.has(address) => {}
                    hop => outermost = hop,
                }
            }
        }
        outermost
    }
}

/// The hops of one header line, in the order in which they were passed; `None` for one that names no address.
type Hops<'h> = Box<dyn Iterator<Item = Option<IpAddr>> + 'h>;

/// `X-Forwarded-For`: addresses, and empty places that a list may have.
fn listed(line: &str) -> Hops<'_> {
    let hops = line.split(',').map(|hop| hop.trim_matches([' ', '\t']));
    Box::new(hops.filter(|hop| !hop.is_empty()).map(address))
}

/// `Forwarded`: elements of pairs, of which `for` is the hop.
fn described(line: &str) -> Hops<'_> {
    let elements = split_unquoted(line, ',').map(|element| element.trim_matches([' ', '\t']));
    Box::new(elements.filter(|element| !element.is_empty()).map(hop_of_element))
}

fn hop_of_element(element: &str) -> Option<IpAddr> {
    let mut hop = None;
    for pair in split_unquoted(element, ';').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        // Every value is read: a quote that a client left open would hide the hops after it.
        let value = unquoted(value).filter(|_| !name.contains('"'))?;
        if name.trim_matches([' ', '\t']).eq_ignore_ascii_case("for")
            && hop.replace(address(&value)?).is_some()
        {
            return None;
        }
    }
    hop
}

/// Splits at `delimiter`, but not within a quoted string.
fn split_unquoted(text: &str, delimiter: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |found| {
        if is_escaped {
            is_escaped = false;
        } else if is_quoted && found == '\\' {
            is_escaped = true;
        } else if found == '"' {
            is_quoted = !is_quoted;
        }
        found == delimiter && !is_quoted
    })
}

/// The text of a token or of a quoted string; `None` when a quote stands where none may.
fn unquoted(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"') else {
        return (!value.contains('"')).then(|| value.to_owned());
    };
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return characters.as_str().is_empty().then_some(text),
            '\\' => text.push(characters.next()?),
            plain => text.push(plain),
        }
    }
}

/// An address, with or without a port. Others name hops without saying where they are: `unknown`, `_hidden`.
fn address(hop: &str) -> Option<IpAddr> {
    if let Ok(address) = hop.parse() {
        return Some(address);
    }
    if let Some(bracketed) = hop.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let is_end = port.is_empty() || port.starts_with(':');
        return address.parse::<Ipv6Addr>().ok().filter(|_| is_end).map(IpAddr::V6);
    }
    let (address, _port) = hop.split_once(':')?;
    address.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "10.0.0.1";

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Whom a peer speaks for, with 10.0.0.0/8 and 2001:db8:1::/48 trusted.
    fn client(peer: &str, headers: &[(&str, &str)]) -> Option<IpAddr> {
        let trusted = ["10.0.0.0/8", "2001:db8:1::/48"].map(|text| text.parse().expect("network"));
        let map = headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
        });
        Proxies(&trusted).client(ip(peer), &map.collect())
    }

    fn forwarded_for(value: &str) -> Option<IpAddr> {
        client(PEER, &[("x-forwarded-for", value)])
    }

    fn forwarded(value: &str) -> Option<IpAddr> {
        client(PEER, &[("forwarded", value)])
    }

    #[test]
    fn only_a_trusted_proxy_speaks_for_others() {
        let headers = [("x-forwarded-for", "192.0.2.7")];
        for peer in ["10.0.0.1", "::ffff:10.9.9.9", "2001:db8:1::9"] {
            assert_eq!(client(peer, &headers), Some(ip("192.0.2.7")), "{peer}");
        }
        for peer in ["192.0.2.1", "127.0.0.1", "2001:db8:2::9"] {
            assert_eq!(client(peer, &headers), None, "{peer}");
        }
        let nobody = Proxies(&[]);
        let map = HeaderMap::from_iter([(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.7"))]);
        assert_eq!(nobody.principal(ip(PEER), &map), Principal::at(ip(PEER)));
    }

    #[test]
    fn the_right_most_hop_that_is_no_proxy_is_the_client() {
        for (value, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("203.0.113.9, 192.0.2.7", "192.0.2.7"),
            ("203.0.113.9,192.0.2.7 , 10.0.0.2,10.0.0.3", "192.0.2.7"),
            ("nonsense, 192.0.2.7", "192.0.2.7"),
            (", 192.0.2.7,", "192.0.2.7"),
            ("192.0.2.7:4711", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]:4711, 2001:db8:1::2", "2001:db8::7"),
        ] {
            assert_eq!(forwarded_for(value), Some(ip(expected)), "{value}");
        }
    }

    #[test]
    fn headers_that_name_no_client_leave_the_peer() {
        for value in ["", ",", "10.0.0.2", "192.0.2.7, nonsense", "192.0.2.7, 10.0.0.2, ::g"] {
            assert_eq!(forwarded_for(value), None, "{value}");
        }
        assert_eq!(forwarded_for("192.0.2.7, \u{e9}"), None);
        for value in ["[2001:db8::7", "[2001:db8::7]4711", "[192.0.2.7]", "192.0.2:80"] {
            assert_eq!(forwarded_for(value), None, "{value}");
        }
    }

    #[test]
    fn lines_are_one_list() {
        let line = |value| ("x-forwarded-for", value);
        let lines = [line("203.0.113.9"), line("192.0.2.7, 10.0.0.2"), line("10.0.0.3")];
        assert_eq!(client(PEER, &lines), Some(ip("192.0.2.7")));
        assert_eq!(client(PEER, &[line("192.0.2.7"), line("\u{e9}")]), None);
    }

    #[test]
    fn forwarded_is_read_with_its_quotes_and_pairs() {
        for (value, expected) in [
            ("for=192.0.2.7", "192.0.2.7"),
            ("For=192.0.2.7;proto=http;by=203.0.113.43", "192.0.2.7"),
            ("proto=https; FOR=\"192.0.2.7:4711\"", "192.0.2.7"),
            ("for=203.0.113.9, for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=192.0.2.7, for=10.0.0.2;host=\"a,b;for=x\"", "192.0.2.7"),
            ("for=192.0.2.7;host=\"a\\\",for=203.0.113.9\"", "192.0.2.7"),
            ("for=\"192\\.0.2.7\";", "192.0.2.7"),
        ] {
            assert_eq!(forwarded(value), Some(ip(expected)), "{value}");
        }
    }

    #[test]
    fn forwarded_that_names_no_client_leaves_the_peer() {
        for value in [
            "",
            "for=unknown",
            "for=_hidden, for=10.0.0.2",
            "for=192.0.2.7, proto=http",
            "for=192.0.2.7;for=192.0.2.8",
            "for",
            "for=\"192.0.2.7",
            "for=192.0.2.7;x=\", for=192.0.2.8",
            "for=192.0.2.7;x=a\", for=192.0.2.8",
            "for=192.0.2.7;\"=, for=192.0.2.8",
            "for=\"x, for=\"192.0.2.7\"",
            "for=192.0.2.7, for=\"192.0.2.8\"x",
        ] {
            assert_eq!(forwarded(value), None, "{value}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_client_is_never_what_stands_before_the_last_hop(
            text in r#"(for=6\.6\.6\.6;|6\.6\.6\.6|x=|"|[,;\\= ]){0,6}"#,
        ) {
            // Whatever a client writes, its proxy adds the address that it heard from in a line of its own.
            for (name, hop) in [("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.7")] {
                let headers = [(name, text.as_str()), (name, hop)];
                proptest::prop_assert_eq!(client(PEER, &headers), Some(ip("192.0.2.7")));
            }
            // Or in the same one, which a client can spoil, and can make say nothing else.
            for (name, hop) in [("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.7")] {
                let found = client(PEER, &[(name, &format!("{text}, {hop}"))]);
                proptest::prop_assert!(found.is_none() || found == Some(ip("192.0.2.7")));
            }
        }
    }

    #[test]
    fn two_headers_must_say_the_same() {
        let both = |other| client(PEER, &[("x-forwarded-for", "192.0.2.7"), ("forwarded", other)]);
        assert_eq!(both("for=192.0.2.7"), Some(ip("192.0.2.7")));
        assert_eq!(both("for=203.0.113.9"), None);
        assert_eq!(both("for=unknown"), None);
    }
}
