//! The other end of a connection: takes what comes over TCP and UDP on loopback, says one
//! command and listens to the answer for a moment.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the peer types. It waits a little, as a person would, so that a relay is up.
const SAYS: &[u8] = b"id\nsleep 0.5\nexit\n";
const ANSWER: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(20);

pub(crate) struct Peer {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    pub(crate) fn open() -> Self {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = tcp.local_addr().unwrap().port();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        tcp.set_nonblocking(true).unwrap();
        udp.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || serve(&tcp, &udp, &stopped));
        Self { port, stop, thread: Some(thread) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn serve(tcp: &TcpListener, udp: &UdpSocket, stop: &AtomicBool) {
    let mut answering = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if let Ok((stream, _)) = tcp.accept() {
            answering.push(std::thread::spawn(move || talk(&stream)));
        }
        let mut bytes = [0; 2048];
        if let Ok((_, from)) = udp.recv_from(&mut bytes) {
            let _ = udp.send_to(SAYS, from);
        }
        std::thread::sleep(STEP);
    }
    for it in answering {
        let _ = it.join();
    }
}

/// A peer that goes away early is part of some scenes.
fn talk(mut stream: &TcpStream) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(ANSWER));
    let _ = stream.write_all(SAYS);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
}
