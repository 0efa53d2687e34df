//! A real mail server: aiosmtpd, in the clear, with STARTTLS, and with TLS from the start.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::channels::MailTls;
use super::route::Address;
use super::*;

/// The interpreter that Debian's packages belong to.
const PYTHON: &str = "/usr/bin/python3";

/// `None` where the machine has no such server; says so.
fn server(dir: &Path, mode: &str) -> Option<(Running, u16)> {
    let mut look = Command::new(PYTHON);
    look.args(["-c", "import aiosmtpd.smtp"]).stderr(Stdio::null());
    if !look.status().is_ok_and(|it| it.success()) {
        println!("skipped: aiosmtpd (python3-aiosmtpd) is not installed");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/notify/fixtures/smtpd.py");
    let mut command = Command::new(PYTHON);
    command.arg(script).arg(mode).arg(dir).arg(dir.join("cert.pem")).arg(dir.join("key.pem"));
    let mut running = Running::start(command.stdout(Stdio::piped()));
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Some((running, line.trim().parse().unwrap()))
}

fn config(port: u16, tls: MailTls, user: &str, ca_pem: &str) -> ChannelConfig {
    ChannelConfig::Email {
        server: "localhost".to_owned(),
        port,
        tls,
        user: user.to_owned(),
        from: Address("garrison@example.org".to_owned()),
        to: vec![Address("ops@example.org".to_owned()), Address("b@example.org".to_owned())],
        ca_pem: ca_pem.to_owned(),
    }
}

fn password(text: &str) -> Secrets {
    Secrets { password: Some(text.to_owned()), ..Secrets::default() }
}

fn received(dir: &Path, number: u32) -> Value {
    let text = std::fs::read_to_string(dir.join(format!("{number}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_in_the_clear_stays_on_this_machine() {
    let rig = Rig::new().await;
    let dir = tempfile::tempdir().unwrap();
    let Some((_running, port)) = server(dir.path(), "plain") else { return };
    let channel = rig.channel(&config(port, MailTls::Plain, "", ""), &Secrets::default()).await;
    rig.post(channel, 1..2).await;
    rig.turn().await;
    let sent = rig.deliveries(DeliveryState::Sent).await;
    assert_eq!(sent.len(), 1, "{:?}", rig.deliveries(DeliveryState::Waiting).await);
    let got = received(dir.path(), 1);
    assert_eq!(got["from"], "garrison@example.org");
    assert_eq!(got["to"], serde_json::json!(["ops@example.org", "b@example.org"]));
    let content = got["content"].as_str().unwrap();
    for part in [
        format!("Message-ID: <{}@example.org>", sent[0].id).as_str(),
        "Auto-Submitted: auto-generated",
        "multipart/alternative",
        "text/plain",
        "text/html",
    ] {
        assert!(content.contains(part), "{part}: {content}");
    }
    // Recipients of a route stand in place of the channel's.
    let mut message = alert(2);
    message.recipients = vec!["duty@example.org".to_owned()];
    let new = NewDelivery { channel, route: RouteId(1), message };
    let planned = Planned { at: rig.now(), deliveries: vec![new], ..Planned::default() };
    rig.store.planned(planned).await.unwrap();
    rig.turn().await;
    assert_eq!(received(dir.path(), 2)["to"], serde_json::json!(["duty@example.org"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_over_tls_checks_the_server_and_signs_in() {
    let rig = Rig::new().await;
    for (mode, tls) in [("starttls", MailTls::StartTls), ("tls", MailTls::Tls)] {
        let dir = tempfile::tempdir().unwrap();
        let pem = certificate(dir.path());
        let Some((_running, port)) = server(dir.path(), mode) else { return };
        let good = password("a password for tests");
        let sent = rig.try_channel(&config(port, tls, "garrison", &pem), &good).await;
        assert_eq!(sent, Ok(()), "{mode}");
        let got = received(dir.path(), 1);
        assert_eq!((&got["tls"], &got["user"]), (&true.into(), &"garrison".into()), "{mode}");
        let wrong = rig.try_channel(&config(port, tls, "garrison", &pem), &password("x")).await;
        assert!(wrong.unwrap_err().contains("535"), "{mode}");
        let stranger = rig.try_channel(&config(port, tls, "garrison", ""), &good).await;
        let error = stranger.unwrap_err();
        assert!(error.contains("certificate") || error.contains("UnknownIssuer"), "{error}");
        assert!(!dir.path().join("2.json").exists(), "nothing else was taken");
    }
    // A server without TLS gets nothing when TLS was asked for.
    let dir = tempfile::tempdir().unwrap();
    let Some((_running, port)) = server(dir.path(), "plain") else { return };
    let refused =
        rig.try_channel(&config(port, MailTls::StartTls, "", ""), &Secrets::default()).await;
    assert!(refused.is_err());
    assert!(!dir.path().join("1.json").exists());
}
