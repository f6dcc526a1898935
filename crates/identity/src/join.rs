//! Join tokens: one word that tells a new machine where the administrator is, how to know it, and that it may enrol.
//!
//! The word is url-safe base64 without padding of: version, secret, fingerprint of the authority, addresses, and a
//! check so that a word that lost its end in a chat window is told from one that was made up.

use crate::certificate::Fingerprint;
use crate::secret::SecretHash;
use crate::store::Store;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rand::RngCore;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use uuid::Uuid;

const VERSION: u8 = 1;
const CHECK: usize = 4;
/// Longest word that is looked at.
const LONGEST: usize = 4096;
/// Most addresses in a word.
pub const MOST_ADDRESSES: usize = 16;

/// One way to reach the administrator's agents' port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    Ip(IpAddr, u16),
    Name(String, u16),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(IpAddr::V6(ip), port) => write!(f, "[{ip}]:{port}"),
            Address::Ip(ip, port) => write!(f, "{ip}:{port}"),
            Address::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

impl FromStr for Address {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Address, ParseError> {
        let bad = || ParseError::Address { text: text.to_owned() };
        if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
            return Ok(Address::Ip(socket.ip(), socket.port()));
        }
        let (name, port) = text.rsplit_once(':').ok_or_else(bad)?;
        if !is_host_name(name) {
            return Err(bad());
        }
        Ok(Address::Name(name.to_owned(), port.parse().map_err(|_| bad())?))
    }
}

fn is_host_name(name: &str) -> bool {
    (1..=253).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

/// Why a word is not a join token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParseError {
    #[error("the join token is empty")]
    Empty,
    #[error("a join token has letters, digits, - and _ only, but character {position} is {character:?}")]
    Character { position: usize, character: char },
    #[error("the join token is {length} characters long; none is longer than {LONGEST}")]
    TooLong { length: usize },
    #[error("the join token is not complete: some of it was lost or changed when it was copied")]
    Incomplete,
    #[error("the join token is of version {version}, which this program is too old to read")]
    Version { version: u8 },
    #[error("{text} is not an address of the form HOST:PORT")]
    Address { text: String },
    #[error("a join token carries 1 to {MOST_ADDRESSES} addresses, not {count}")]
    Addresses { count: usize },
}

/// The content of a join token.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Tried in order.
    pub addresses: Vec<Address>,
    /// 128 random bits that may be used once.
    pub secret: JoinSecret,
    /// Of the authority's certificate.
    pub authority: Fingerprint,
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("addresses", &self.addresses).field("authority", &self.authority).finish()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct JoinSecret([u8; 16]);

impl JoinSecret {
    pub fn generate() -> JoinSecret {
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        JoinSecret(bytes)
    }

    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.0)
    }
}

/// As it travels in an enrolment request: 32 hexadecimal digits.
impl fmt::Display for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret(…)")
    }
}

impl FromStr for JoinSecret {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<JoinSecret, hex::FromHexError> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(JoinSecret(bytes))
    }
}

impl JoinToken {
    /// The token as one word.
    ///
    /// # Errors
    /// No address, too many, or a name that is none.
    pub fn to_word(&self) -> Result<String, ParseError> {
        let count = self.addresses.len();
        if !(1..=MOST_ADDRESSES).contains(&count) {
            return Err(ParseError::Addresses { count });
        }
        let mut bytes = vec![VERSION];
        bytes.extend(self.secret.0);
        bytes.extend(self.authority.0);
        for address in &self.addresses {
            let port = match address {
                Address::Ip(IpAddr::V4(ip), port) => {
                    bytes.push(4);
                    bytes.extend(ip.octets());
                    port
                }
                Address::Ip(IpAddr::V6(ip), port) => {
                    bytes.push(6);
                    bytes.extend(ip.octets());
                    port
                }
                Address::Name(name, port) if is_host_name(name) => {
                    bytes.push(0);
                    bytes.push(u8::try_from(name.len()).expect("a host name has at most 253 bytes"));
                    bytes.extend(name.as_bytes());
                    port
                }
                Address::Name(..) => return Err(ParseError::Address { text: address.to_string() }),
            };
            bytes.extend(port.to_be_bytes());
        }
        let check = check(&bytes);
        bytes.extend(check);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for JoinToken {
    type Err = ParseError;

    fn from_str(word: &str) -> Result<JoinToken, ParseError> {
        let word = word.trim();
        if word.is_empty() {
            return Err(ParseError::Empty);
        }
        if word.len() > LONGEST {
            return Err(ParseError::TooLong { length: word.len() });
        }
        let foreign = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if let Some((position, character)) = word.chars().enumerate().find(|(_, c)| foreign(*c)) {
            return Err(ParseError::Character { position: position + 1, character });
        }
        let bytes = URL_SAFE_NO_PAD.decode(word).map_err(|_| ParseError::Incomplete)?;
        if bytes[0] != VERSION {
            return Err(ParseError::Version { version: bytes[0] });
        }
        let (body, sum) = bytes.split_at_checked(bytes.len().saturating_sub(CHECK)).ok_or(ParseError::Incomplete)?;
        if sum != check(body) {
            return Err(ParseError::Incomplete);
        }
        read_body(&body[1..])
    }
}

fn read_body(body: &[u8]) -> Result<JoinToken, ParseError> {
    let mut reader = Reader(body);
    let secret = JoinSecret(reader.array()?);
    let authority = Fingerprint(reader.array()?);
    let mut addresses = Vec::new();
    while !reader.0.is_empty() {
        addresses.push(reader.address()?);
    }
    let count = addresses.len();
    if !(1..=MOST_ADDRESSES).contains(&count) {
        return Err(ParseError::Addresses { count });
    }
    Ok(JoinToken { addresses, secret, authority })
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let hash = blake3::derive_key("bailiwick 2026 join token check", bytes);
    [hash[0], hash[1], hash[2], hash[3]]
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], ParseError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(ParseError::Incomplete)?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        self.take(N)?.try_into().map_err(|_| ParseError::Incomplete)
    }

    fn address(&mut self) -> Result<Address, ParseError> {
        let [kind] = self.array()?;
        match kind {
            4 => Ok(Address::Ip(Ipv4Addr::from(self.array::<4>()?).into(), self.port()?)),
            6 => Ok(Address::Ip(Ipv6Addr::from(self.array::<16>()?).into(), self.port()?)),
            0 => {
                let [length] = self.array()?;
                let name = String::from_utf8_lossy(self.take(length.into())?).into_owned();
                if !is_host_name(&name) {
                    return Err(ParseError::Address { text: schema::neutral_text(&name) });
                }
                Ok(Address::Name(name, self.port()?))
            }
            _ => Err(ParseError::Incomplete),
        }
    }

    fn port(&mut self) -> Result<u16, ParseError> {
        Ok(u16::from_be_bytes(self.array()?))
    }
}

/// What is kept of a join token: enough to accept it once, not enough to make it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredJoin {
    pub id: Uuid,
    /// The machine whose place the bearer takes; a machine of its own where absent.
    pub machine: Option<Uuid>,
    pub secret: SecretHash,
    /// Name of who made it.
    pub created_by: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// When and by which machine it was used.
    pub used: Option<(Timestamp, Uuid)>,
}

/// Why an enrolment is refused. The machine is told the same sentence for all of them but `Expired`, which only someone
/// who holds the token can learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("this join token is not known here")]
    Unknown,
    #[error("this join token was used already; make a new one")]
    Used,
    #[error("this join token's time is over; make a new one")]
    Expired,
}

/// Uses up the token with this secret for the machine that it is bound to, else for `own`. Call it in the transaction
/// that stores the machine, so that of two that come at once only one is enrolled.
///
/// What it returns is the token as it was: where that says `used`, this is a repeat by the same machine within the
/// token's time, whose first answer may have been lost on the way. The caller answers it only where nothing was decided
/// about the machine since.
///
/// # Errors
/// Those of the store; the inner error is the refusal.
pub fn redeem<S: Store>(
    store: &mut S,
    secret: &JoinSecret,
    own: Uuid,
    now: Timestamp,
) -> Result<Result<StoredJoin, Refused>, S::Error> {
    let Some(token) = store.join_by_secret(&secret.hash())? else { return Ok(Err(Refused::Unknown)) };
    let machine = token.machine.unwrap_or(own);
    match token.used {
        Some((_, by)) if by != machine => return Ok(Err(Refused::Used)),
        _ if now >= token.expires_at => return Ok(Err(Refused::Expired)),
        Some(_) => {}
        None => store.mark_join_used(token.id, now, machine)?,
    }
    Ok(Ok(token))
}

#[cfg(test)]
mod tests;
