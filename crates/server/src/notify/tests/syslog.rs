//! A real log server: syslog-ng with a configuration of its own, on loopback.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;

use super::channels::{SyslogBody, SyslogTransport};
use super::*;

struct Ports {
    udp: u16,
    tcp: u16,
    tls: u16,
}

/// Ports that were free a moment ago.
fn ports() -> Ports {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (tcp, tls) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    Ports {
        udp: udp.local_addr().unwrap().port(),
        tcp: tcp.local_addr().unwrap().port(),
        tls: tls.local_addr().unwrap().port(),
    }
}

/// `None` where the machine has no such server; says so.
async fn server(dir: &Path) -> Option<(Running, Ports)> {
    let Some(program) = ["/usr/sbin/syslog-ng", "/usr/bin/syslog-ng", "/sbin/syslog-ng"]
        .iter()
        .find(|it| Path::new(it).exists())
    else {
        println!("skipped: syslog-ng (syslog-ng-core) is not installed");
        return None;
    };
    let ports = ports();
    let at = dir.display();
    let Ports { udp, tcp, tls } = &ports;
    let text = format!(
        r#"@version: 3.38
options {{ keep-hostname(yes); stats-freq(0); }};
source s {{
    syslog(ip("127.0.0.1") transport("udp") port({udp}));
    syslog(ip("127.0.0.1") transport("tcp") port({tcp}));
    syslog(ip("127.0.0.1") transport("tls") port({tls})
        tls(cert-file("{at}/cert.pem") key-file("{at}/key.pem") peer-verify(optional-untrusted)));
}};
destination d {{
    file("{at}/out.log" template("$FACILITY $LEVEL $HOST $PROGRAM $MSGID $MSG\n"));
}};
log {{ source(s); destination(d); }};
"#
    );
    std::fs::write(dir.join("conf"), text).unwrap();
    let mut command = Command::new(program);
    command.args(["--foreground", "--no-caps", "--cfgfile"]).arg(dir.join("conf"));
    command.arg("--persist-file").arg(dir.join("persist"));
    command.arg("--pidfile").arg(dir.join("pid")).arg("--control").arg(dir.join("ctl"));
    let running = Running::start(command.stderr(Stdio::null()).stdout(Stdio::null()));
    let listens = |port: u16| TcpStream::connect(("127.0.0.1", port)).ok();
    until("syslog-ng", || listens(*tcp).and_then(|_| listens(*tls))).await;
    Some((running, ports))
}

fn config(port: u16, transport: SyslogTransport, body: SyslogBody, pem: &str) -> ChannelConfig {
    ChannelConfig::Syslog {
        server: "127.0.0.1".to_owned(),
        port,
        transport,
        body,
        facility: 16,
        ca_pem: pem.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syslog_ng_reads_every_line() {
    let rig = Rig::new().await;
    let dir = tempfile::tempdir().unwrap();
    let pem = certificate(dir.path());
    let Some((_running, ports)) = server(dir.path()).await else { return };
    let mut expected = 0;
    for (port, transport) in [
        (ports.udp, SyslogTransport::Udp),
        (ports.tcp, SyslogTransport::Tcp),
        (ports.tls, SyslogTransport::Tls),
    ] {
        for body in [SyslogBody::Cef, SyslogBody::Json] {
            let channel =
                rig.channel(&config(port, transport, body, &pem), &Secrets::default()).await;
            rig.post(channel, expected..expected + 3).await;
            expected += 3;
        }
    }
    rig.turn().await;
    let sent = rig.deliveries(DeliveryState::Sent).await;
    assert_eq!(sent.len(), expected as usize, "{:?}", rig.store.channels().await.unwrap());
    let path = dir.path().join("out.log");
    let lines: Vec<String> = until("all lines", || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        (lines.len() >= expected as usize).then_some(lines)
    })
    .await;
    assert_eq!(lines.len(), expected as usize);
    for delivery in &sent {
        let id = delivery.id.to_string();
        let line = lines.iter().find(|it| it.contains(&id)).expect("each is there");
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let head = format!("local0 err {host} garrison alert ");
        let text = line.strip_prefix(&head).unwrap_or_else(|| panic!("{line}"));
        let Body::Alert { notice } = &delivery.message.body else { panic!("{line}") };
        if text.starts_with("CEF:0|") {
            assert!(text.contains(&format!("cs1={}", notice.subject)), "{line}");
        } else {
            let json: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(json["alert"]["subject"], notice.subject, "{line}");
            assert_eq!(json["alert"]["sentence"]["zh"], notice.sentence.zh);
        }
    }
    // A certificate nobody vouches for.
    let stranger = config(ports.tls, SyslogTransport::Tls, SyslogBody::Json, "");
    let error = rig.try_channel(&stranger, &Secrets::default()).await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
}
