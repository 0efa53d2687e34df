use super::*;

/// The words between `|` are the arguments.
fn masked(line: &str) -> String {
    let arguments: Vec<Vec<u8>> = line.split('|').map(|it| it.as_bytes().to_vec()).collect();
    command(&arguments)
}

#[test]
fn secrets_are_masked() {
    let mut wrong = Vec::new();
    for (line, expected) in [
        ("app|--password=hunter2", "app --password=***"),
        ("app|--password|hunter2|run", "app --password *** run"),
        ("app|--db-password|hunter2", "app --db-password ***"),
        ("app|--password|--verbose", "app --password --verbose"),
        ("app|-Dspring.datasource.password=a b", "app -Dspring.datasource.password=*** b"),
        ("app|-DdbPassword=x", "app -DdbPassword=***"),
        ("app|PGPASSWORD=x", "app PGPASSWORD=***"),
        ("env|AWS_SECRET_ACCESS_KEY=ab/cd+ef|app", "env AWS_SECRET_ACCESS_KEY=*** app"),
        (
            "app|--api-key=1|--apikey|2|--auth_token|3",
            "app --api-key=*** --apikey *** --auth_token ***",
        ),
        ("app|--token:abc", "app --token:***"),
        ("echo|eve ALL=(ALL) NOPASSWD: ALL", "echo eve ALL=(ALL) NOPASSWD: ALL"),
        ("app|db_pass=1;next=2", "app db_pass=***;next=2"),
        ("app|--requirepass|x", "app --requirepass ***"),
        ("mysql|-uroot|-phunter2|shop", "mysql -uroot -p*** shop"),
        ("/usr/bin/mysqldump|-p|shop", "/usr/bin/mysqldump -p shop"),
        ("sudo|-u|backup|mariadb|-pX|--all", "sudo -u backup mariadb -p*** --all"),
        ("sh|-c|mysql -h db -pX  shop < f", "sh -c mysql -h db -p***  shop < f"),
        ("sh|-c|exec app --password 'x' --port 1", "sh -c exec app --password *** --port 1"),
        ("redis-cli|-a|x|ping", "redis-cli -a *** ping"),
        ("redis-cli|-a|-x|ping", "redis-cli -a *** ping"),
        ("sshpass|-phunter2|ssh|-p|22|host", "sshpass -p*** ssh -p *** host"),
        ("curl|-u|bob:x|http://h/", "curl -u bob:*** http://h/"),
        ("curl|-ubob:x|http://h/", "curl -ubob:*** http://h/"),
        ("curl|-u|bob|http://h/", "curl -u bob http://h/"),
        ("curl|-H|Authorization: Bearer abcdef.ghi", "curl -H Authorization: Bearer ***"),
        ("curl|-H|X-Api-Key: abc", "curl -H X-Api-Key: ***"),
        ("smbclient|-U|bob%x|//h/s", "smbclient -U bob%*** //h/s"),
        ("git|clone|https://bob:x@h/r.git", "git clone https://bob:***@h/r.git"),
        ("app|postgres://u:p@ss@h:1/d?a=b", "app postgres://u:***@h:1/d?a=b"),
        ("app|redis://:x@h:6379", "app redis://:***@h:6379"),
        ("git|clone|https://0123456789abcdef0123@h/r", "git clone https://***@h/r"),
        ("app|http://h/p?user=a&token=x&b=1", "app http://h/p?user=a&token=***&b=1"),
        ("app|http://h/p?X-Amz-Signature=x&b=1", "app http://h/p?X-Amz-Signature=***&b=1"),
        (r#"app|{"user":"a","password":"x","n":1}"#, r#"app {"user":"a","password":"***","n":1}"#),
        ("app|AKIAIOSFODNN7EXAMPLE", "app ***"),
        ("app|ghp_0123456789abcdefghijklmnopqrstuvwxyz", "app ***"),
        ("app|key eyJhbGciOiJI.eyJzdWIiOiIx.sig-nature", "app key ***"),
        ("app|-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END", "app ***"),
        ("openssl|enc|-pass|pass:x|-in|f", "openssl enc -pass *** -in f"),
        ("openssl|rsa|-passin|pass:x", "openssl rsa -passin pass:***"),
        ("zip|-P|x|a.zip|f", "zip -P *** a.zip f"),
        ("xfreerdp|/u:a|/p:x|/v:h", "xfreerdp /u:a /p:*** /v:h"),
        ("ldapsearch|-D|cn=a|-w|x", "ldapsearch -D cn=a -w ***"),
        ("docker|login|-u|a|-p|x|reg", "docker login -u a -p *** reg"),
        ("app|--secret|", "app --secret ***"),
    ] {
        let shown = masked(line);
        if shown != expected {
            wrong.push((shown, expected));
        }
    }
    assert_eq!(wrong, [] as [(String, &str); 0]);
}

#[test]
fn the_rest_is_left_alone() {
    for line in [
        "",
        "/usr/sbin/nginx",
        "nginx: master process /usr/sbin/nginx -g daemon off;",
        "sshd: bob@pts/0",
        "ssh -p 22 bob@host",
        "rsync -p a b@c:/d",
        "app --password-file=/etc/x --token-ttl=5",
        "app --bypass=1 --compass=2 -p 80",
        "java -Xmx1g -jar a.jar --server.port=80",
        "http://h:80/p?a=b@c",
        "find / -user bob",
        "mount -o rw,uid=1",
        "python3 -m http.server",
        "vim passwd",
    ] {
        assert_eq!(masked(&line.replace(' ', "|")), line);
    }
}

#[test]
fn long_and_odd_lines_are_survived() {
    let line = vec![b"--password".to_vec(), vec![0xff; 100_000], vec![b'a'; 100_000]];
    let shown = command(&line);
    assert!(shown.starts_with("--password *** aaaa") && shown.len() < 5000);
    let many = vec![b"a b ".repeat(50_000)];
    assert!(command(&many).len() <= TEXT_BYTES_MAX + "…".len());
}
