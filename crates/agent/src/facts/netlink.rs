//! Addresses by rtnetlink: one dump for what there is, one subscription for changes. It asks the kernel of the agent's
//! own network namespace and starts no program.

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use tokio::net::UnixDatagram;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const REQUEST_DUMP: u16 = 0x301;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFLA_ADDRESS: u16 = 1;
const ARPHRD_ETHER: u16 = 1;
const GROUPS_LINK_AND_ADDRESSES: u32 = 0x1 | 0x10 | 0x100;
const HEADER: usize = 16;

/// What interfaces have, loopback left out.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Network {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) macs: Vec<String>,
}

pub(super) fn snapshot() -> io::Result<Network> {
    let mut network = Network::default();
    dump(RTM_GETADDR, |kind, body| {
        if kind == RTM_NEWADDR
            && let Some(address) = address(body)
            && !address.is_loopback()
        {
            network.addresses.push(address);
        }
    })?;
    dump(RTM_GETLINK, |kind, body| {
        if kind == RTM_NEWLINK
            && let Some(mac) = mac(body)
        {
            network.macs.push(mac);
        }
    })?;
    network.addresses.sort_by_key(|address| (is_link_local(address), *address));
    network.addresses.dedup();
    network.macs.sort();
    network.macs.dedup();
    Ok(network)
}

/// Those that mean something only on their own wire come last.
fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn open(flags: SocketFlags, groups: u32) -> io::Result<OwnedFd> {
    let flags = flags | SocketFlags::CLOEXEC;
    // No protocol is NETLINK_ROUTE, whose number is 0.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

fn dump(kind: u16, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
    let socket = open(SocketFlags::empty(), 0)?;
    // Header, then an `ifinfomsg` of zeros, whose beginning is also an `ifaddrmsg` of zeros.
    let mut request = [0u8; HEADER + 16];
    request[0..4].copy_from_slice(&32u32.to_ne_bytes());
    request[4..6].copy_from_slice(&kind.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    request[8..12].copy_from_slice(&1u32.to_ne_bytes());
    send(&socket, &request, SendFlags::empty())?;
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        let (length, _) = recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, next)) = message(rest) {
            match kind {
                NLMSG_DONE => return Ok(()),
                NLMSG_ERROR => return Err(io::Error::other("the kernel refused the question")),
                kind => each(kind, body),
            }
            rest = next;
        }
        if length == 0 {
            return Ok(());
        }
    }
}

/// The first message of a buffer: kind, body, and what follows.
fn message(buffer: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(buffer.get(0..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(buffer.get(4..6)?.try_into().ok()?);
    let body = buffer.get(HEADER..length)?;
    Some((kind, body, buffer.get(aligned(length)..).unwrap_or_default()))
}

fn aligned(length: usize) -> usize {
    length.div_ceil(4) * 4
}

fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(0..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn address(body: &[u8]) -> Option<IpAddr> {
    let attributes: Vec<_> = attributes(body.get(8..)?).collect();
    let value = |wanted| attributes.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| *value);
    // On a point-to-point link IFA_ADDRESS is the other end.
    let bytes = value(IFA_LOCAL).or_else(|| value(IFA_ADDRESS))?;
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

fn mac(body: &[u8]) -> Option<String> {
    let kind = u16::from_ne_bytes(body.get(2..4)?.try_into().ok()?);
    let (_, bytes) = attributes(body.get(16..)?).find(|(kind, _)| *kind == IFLA_ADDRESS)?;
    if kind != ARPHRD_ETHER || bytes.len() != 6 || bytes.iter().all(|byte| *byte == 0) {
        return None;
    }
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
}

/// Tells that an interface or address changed.
pub struct NetworkWatch {
    /// A netlink socket behind the type of another datagram socket: reading works the same.
    socket: UnixDatagram,
}

impl NetworkWatch {
    pub fn open() -> io::Result<NetworkWatch> {
        let socket = open(SocketFlags::NONBLOCK, GROUPS_LINK_AND_ADDRESSES)?;
        Ok(NetworkWatch { socket: UnixDatagram::from_std(socket.into())? })
    }

    /// Waits for the next change. May be dropped while it waits.
    pub async fn changed(&mut self) {
        let mut buffer = [0u8; 8192];
        // What changed does not matter, nor that messages were lost: everything is read anew.
        let _ = self.socket.recv(&mut buffer).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_and_loopback_is_left_out() {
        let network = snapshot().unwrap();
        assert!(network.addresses.iter().all(|address| !address.is_loopback()));
    }

    #[test]
    fn malformed_messages_are_skipped() {
        for length in 0..64 {
            let bytes = vec![0xffu8; length];
            assert!(message(&bytes).is_none());
            assert!(address(&bytes).is_none());
            assert!(mac(&bytes).is_none());
        }
    }
}
