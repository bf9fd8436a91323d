//! How the hosts find each other: host 0 listens, the others connect until it answers, each says who it is, and host 0 says
//! when all are there. Names may not resolve at first, so that is tried again too.

use std::net::{Ipv4Addr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::link::{Link, Operation};
use crate::TrainError;

/// The port of host 0, unless an address is given.
pub const COLLECTIVE_PORT: u16 = 7777;
/// How long hosts wait for each other. Reason: images are pulled and data downloaded at different speeds; hosts that start
/// more than ten minutes apart are not one job.
const MEETING_WAIT_MAX: Duration = Duration::from_secs(600);
/// How long one attempt to connect takes.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);
/// Between two attempts.
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// How long a stranger may keep silent before host 0 turns to the next.
const HELLO_WAIT_MAX: Duration = Duration::from_secs(5);
/// What a hello begins with: the protocol and its version.
const MAGIC: &[u8; 8] = b"CLARYC01";

/// Who meets where.
#[derive(Debug, Clone)]
pub struct Meeting {
    /// This host's place in `hosts`.
    pub rank: usize,
    /// The names of all, the same at each.
    pub hosts: Vec<String>,
    /// Where host 0 listens: `host:port`; without one, `hosts[0]` at [`COLLECTIVE_PORT`].
    pub address: Option<String>,
    /// The job's name: hosts of another job are turned away.
    pub job: String,
}

/// The links of this host, once all are there.
pub(super) fn meet(meeting: &Meeting) -> Result<Vec<Link>, TrainError> {
    let deadline = Instant::now() + MEETING_WAIT_MAX;
    match meeting.rank {
        0 => welcome(meeting, &listen(meeting)?, deadline),
        _ => Ok(vec![call(meeting, deadline)?]),
    }
}

/// The links of every host of `hosts` over loopback.
pub(super) fn over_loopback(hosts: &[String]) -> Vec<Vec<Link>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback");
    let address = listener.local_addr().expect("a bound socket").to_string();
    let meeting =
        |rank| Meeting { rank, hosts: hosts.to_vec(), address: Some(address.clone()), job: String::new() };
    let deadline = Instant::now() + HELLO_WAIT_MAX;
    std::thread::scope(|scope| {
        let callers: Vec<_> =
            (1..hosts.len()).map(|rank| scope.spawn(move || call(&meeting(rank), deadline))).collect();
        let mut links = vec![welcome(&meeting(0), &listener, deadline).expect("all call")];
        links.extend(
            callers.into_iter().map(|caller| vec![caller.join().expect("no panic").expect("host 0 answers")]),
        );
        links
    })
}

/// Host 0's socket: at the address that was given, or at all of this machine's. A host's own name may resolve to loopback,
/// which no other reaches.
fn listen(meeting: &Meeting) -> Result<TcpListener, TrainError> {
    let fault = |place: &str, error: std::io::Error| {
        TrainError::Internal(format!("host 0 cannot listen at {place}: {error}"))
    };
    match &meeting.address {
        Some(address) => TcpListener::bind(address).map_err(|error| fault(address, error)),
        None => TcpListener::bind((Ipv4Addr::UNSPECIFIED, COLLECTIVE_PORT))
            .map_err(|error| fault(&format!("port {COLLECTIVE_PORT}"), error)),
    }
}

/// Host 0 waits for all others, then tells them.
fn welcome(meeting: &Meeting, listener: &TcpListener, deadline: Instant) -> Result<Vec<Link>, TrainError> {
    let mut links: Vec<Option<Link>> = meeting.hosts.iter().skip(1).map(|_| None).collect();
    listener.set_nonblocking(true).map_err(|error| TrainError::Internal(error.to_string()))?;
    while let Some(missing) = links.iter().position(Option::is_none) {
        if Instant::now() >= deadline {
            let name = &meeting.hosts[missing + 1];
            return Err(TrainError::Internal(format!("host {name}: expected it to join, and it did not")));
        }
        let Ok((stream, _)) = listener.accept() else {
            pause(RETRY_EVERY / 10);
            continue;
        };
        // Who is not of this job is turned away by being dropped.
        if let Some((rank, link)) = hello(meeting, stream) {
            links[rank - 1] = Some(link);
        }
    }
    let mut links: Vec<Link> = links.into_iter().flatten().collect();
    links.iter_mut().try_for_each(|link| link.send(Operation::Go, &[]))?;
    Ok(links)
}

/// The rank that a caller says it has, if it is of this job.
fn hello(meeting: &Meeting, stream: TcpStream) -> Option<(usize, Link)> {
    stream.set_nonblocking(false).ok()?;
    let mut link = Link::new("that calls", stream).ok()?;
    let deadline = Instant::now() + HELLO_WAIT_MAX;
    let said = link.receive_before(Operation::Hello, &mut [], deadline).ok()?;
    let rank = (1..meeting.hosts.len()).find(|rank| said == introduction(meeting, *rank))?;
    link.rename(&meeting.hosts[rank]);
    Some((rank, link))
}

/// What a host says first: protocol, job, hosts, rank.
fn introduction(meeting: &Meeting, rank: usize) -> Vec<u8> {
    [MAGIC.as_slice(), format!("{}\n{}\n{rank}", meeting.job, meeting.hosts.join(",")).as_bytes()].concat()
}

/// Another host connects to host 0 and waits for its word.
fn call(meeting: &Meeting, deadline: Instant) -> Result<Link, TrainError> {
    let name = meeting.hosts[0].as_str();
    let address = meeting.address.clone().unwrap_or_else(|| format!("{name}:{COLLECTIVE_PORT}"));
    loop {
        let tried = connect(&address).and_then(|stream| Link::new(name, stream));
        let reason = match tried {
            Ok(mut link) => {
                let met = link
                    .send(Operation::Hello, &introduction(meeting, meeting.rank))
                    .and_then(|()| link.receive_before(Operation::Go, &mut [], deadline));
                match met {
                    Ok(_) => return Ok(link),
                    Err(error) => error.to_string(),
                }
            }
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            return Err(TrainError::Internal(format!(
                "host {name}: expected it to listen at {address}, found {reason}"
            )));
        }
        pause(RETRY_EVERY);
    }
}

/// One attempt at every address of the name.
fn connect(address: &str) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::other("the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_WAIT_MAX) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Waits without an event: there is none for a name that does not resolve yet, or a port that nobody listens at.
fn pause(duration: Duration) {
    std::thread::park_timeout(duration);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_turned_away() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback");
        let address = listener.local_addr().expect("bound").to_string();
        let meeting = |rank, job: &str| Meeting {
            rank,
            hosts: vec!["a".into(), "b".into()],
            address: Some(address.clone()),
            job: job.into(),
        };
        let deadline = Instant::now() + HELLO_WAIT_MAX;
        std::thread::scope(|scope| {
            // A connection that says something else, and a host of another job, come first.
            let mut stranger = TcpStream::connect(&address).expect("it listens");
            std::io::Write::write_all(&mut stranger, b"GET / HTTP/1.1\r\n\r\n").expect("it reads");
            let other = meeting(1, "other");
            let soon = Instant::now() + Duration::from_millis(1);
            let host_0 = scope.spawn(|| welcome(&meeting(0, "job"), &listener, deadline));
            call(&other, soon).expect_err("another job");
            call(&meeting(1, "job"), deadline).expect("this job");
            assert_eq!(host_0.join().expect("no panic").expect("b came")[0].name(), "b");
        });
    }

    #[test]
    fn a_host_that_never_comes_is_named() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback");
        let meeting =
            Meeting { rank: 0, hosts: vec!["a".into(), "b".into()], address: None, job: String::new() };
        let error = welcome(&meeting, &listener, Instant::now()).expect_err("nobody comes").to_string();
        assert!(error.contains("host b: expected it to join"), "{error}");
        let nowhere = Meeting { rank: 1, address: Some("127.0.0.1:1".into()), ..meeting };
        let error = call(&nowhere, Instant::now()).expect_err("nobody listens").to_string();
        assert!(error.contains("host a: expected it to listen at 127.0.0.1:1"), "{error}");
    }
}
