use std::fs;
use std::sync::Mutex;

use expect_test::expect;
use model::time::Timestamp;

use super::*;
use crate::collect::hash_cache::HashCache;
use crate::packages::PackageIndex;

fn lines(host: &Path, collect: fn(&Context) -> Collected, columns: &[&str]) -> String {
    let root = HostRoot::new(host).unwrap();
    let mut packages = PackageIndex::default();
    packages.refresh(&root);
    let hashes = Mutex::new(HashCache::default());
    let collected = collect(&Context::new(&root, &packages, &hashes, Timestamp(0)));
    let word = |row: &Row, column: &str| match row.get(column) {
        None => "-".to_owned(),
        Some(it) => it.as_str().map_or_else(|| it.to_string(), str::to_owned),
    };
    let row = |row: &Row| columns.iter().map(|it| word(row, it)).collect::<Vec<_>>().join(" | ");
    let rows = collected.rows.iter().map(row);
    let skipped = collected.skipped.iter().map(|it| format!("skipped {it}"));
    rows.chain(skipped).collect::<Vec<_>>().join("\n") + "\n"
}

fn sites(host: &Path) -> String {
    lines(
        host,
        collect_sites,
        &["server", "address", "port", "tls", "names", "root", "file", "line"],
    )
}

fn directories(host: &Path) -> String {
    lines(host, collect_directories, &["server", "path", "sites", "urls", "exists"])
}

fn fixture(host: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hosts").join(host)
}

#[test]
fn debian_sites() {
    expect![[r#"
        apache | * | 8000 | false | ["blog.example.org","www.blog.example.org","b.example.org"] | /var/www/blog | /etc/apache2/sites-enabled/blog.conf | 1
        apache | * | 8443 | true | ["secure.example.org"] | /var/www/secure | /etc/apache2/sites-enabled/blog.conf | 13
        nginx | * | 80 | false | ["shop.example.org","www.shop.example.org"] | /var/www/shop | /etc/nginx/sites-enabled/shop | 1
        nginx | 127.0.0.1 | 8080 | false | [] | /srv/default | /etc/nginx/sites-enabled/shop | 10
        nginx | :: | 443 | true | ["shop.example.org","www.shop.example.org"] | /var/www/shop | /etc/nginx/sites-enabled/shop | 1
        tomcat | * | 8180 | false | ["localhost"] | /var/lib/tomcat10/webapps | /var/lib/tomcat10/conf/server.xml | 9
        tomcat | 127.0.0.1 | 8009 | false | ["localhost"] | /var/lib/tomcat10/webapps | /var/lib/tomcat10/conf/server.xml | 9
        skipped /etc/nginx/nginx.conf:7: the included file does not exist
        skipped /var/lib/tomcat10/conf/server.xml:7: the port `${https.port}` is no number
    "#]].assert_eq(&sites(&fixture("debian12")));
}

#[test]
fn debian_directories() {
    expect![[r#"
        apache | /srv/static | ["blog.example.org"] | ["/static"] | false
        apache | /var/www/blog | ["blog.example.org"] | ["/"] | false
        apache | /var/www/secure | ["secure.example.org"] | ["/"] | false
        nginx | /srv/default | [] | ["/"] | false
        nginx | /srv/images | ["shop.example.org"] | ["/images/"] | false
        nginx | /srv/old/docs/old | ["shop.example.org"] | ["/docs/old"] | false
        nginx | /usr/share/docs | ["shop.example.org"] | ["/docs"] | false
        nginx | /var/www/shop | ["shop.example.org"] | ["/"] | true
        tomcat | /srv/app | ["localhost"] | ["/app"] | false
        tomcat | /var/lib/tomcat10/webapps | ["localhost"] | ["/"] | false
    "#]]
    .assert_eq(&directories(&fixture("debian12")));
}

#[test]
fn rocky_sites() {
    expect![[r#"
        apache | * | 443 | true | ["www.example.com"] | /var/www/html | /etc/httpd/conf/httpd.conf | 1
        apache | * | 80 | false | ["www.example.com"] | /var/www/html | /etc/httpd/conf/httpd.conf | 1
    "#]].assert_eq(&sites(&fixture("rocky9")));
}

#[test]
fn addresses() {
    for (text, expected) in [
        ("80", Some(("*", 80))),
        ("127.0.0.1:8080", Some(("127.0.0.1", 8080))),
        ("[::]:443", Some(("::", 443))),
        ("[::1]", Some(("::1", 99))),
        ("*:80", Some(("*", 80))),
        ("_default_:443", Some(("*", 443))),
        ("*", Some(("*", 99))),
        ("localhost", Some(("localhost", 99))),
        ("", None),
        ("x:99999", None),
    ] {
        let expected = expected.map(|(address, port)| (address.to_owned(), port));
        assert_eq!(Listen::split(text, 99), expected, "{text}");
    }
}

#[test]
fn development_servers() {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let show = |it: Option<(Listen, Option<String>)>| {
        it.map(|(listen, folder)| format!("{}:{} {folder:?}", listen.address, listen.port.unwrap()))
    };
    assert_eq!(
        show(running::php(&words("php -S 0.0.0.0:8000 -t pub"))).as_deref(),
        Some("0.0.0.0:8000 Some(\"pub\")")
    );
    assert_eq!(show(running::php(&words("php x.php"))), None);
    assert_eq!(
        show(running::python(&words("python3 -m http.server"))).as_deref(),
        Some("*:8000 None")
    );
    assert_eq!(
        show(running::python(&words("python3 -m http.server --bind 127.0.0.1 -d /srv 9000")))
            .as_deref(),
        Some("127.0.0.1:9000 Some(\"/srv\")")
    );
    assert_eq!(show(running::python(&words("python3 -m pip"))), None);
}

#[test]
fn application_servers() {
    for (program, line, expected) in [
        ("node", "node /srv/shop/dist/server.js --port 3000", Some("node")),
        ("nodejs", "nodejs app.js", Some("node")),
        ("python3.11", "/usr/bin/python3 /usr/bin/gunicorn shop.wsgi -b :8000", Some("gunicorn")),
        ("python3.11", "python3 -m uvicorn shop:app", Some("uvicorn")),
        ("python3.11", "python3 /srv/tools/backup.py", None),
        ("ruby3.1", "ruby /usr/bin/puma -p 9292", Some("puma")),
        ("bash", "bash node", None),
    ] {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(running::application_server(program, &words), expected, "{line}");
    }
}

#[test]
fn a_running_node_program_is_a_site() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("dist")).unwrap();
    std::fs::write(folder.path().join("package.json"), "{\"name\": \"shop\"}").unwrap();
    let script = folder.path().join("dist/server.js");
    let source = "const s = require('http').createServer().listen(0, '127.0.0.1', \
                  () => console.log(s.address().port));";
    std::fs::write(&script, source).unwrap();
    let started = std::process::Command::new("node")
        .arg(&script)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut node) = started else {
        eprintln!("skipped: node is not installed");
        return;
    };
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(node.stdout.as_mut().unwrap()),
        &mut line,
    )
    .unwrap();
    let port: u16 = line.trim().parse().unwrap();
    let mut inspector = crate::inspect::Inspector::new(HostRoot::live().unwrap());
    let collected = inspector.collect(&super::SITES, model::time::Timestamp(0));
    node.kill().unwrap();
    node.wait().unwrap();
    let row = collected.rows.iter().find(|it| it.get("port") == Some(&port.into())).unwrap();
    let text = |name: &str| row.get(name).and_then(serde_json::Value::as_str);
    assert_eq!((text("server"), text("address")), (Some("node"), Some("127.0.0.1")));
    assert_eq!(text("root"), folder.path().canonicalize().unwrap().to_str());
}

#[test]
fn odd_configurations_are_survived_and_named() {
    for bytes in [
        &b""[..],
        b"}",
        b"{{{{",
        b"server {",
        b"a 'b",
        b"\xff\xfe;",
        b"\\",
        b"listen ${x",
        b";;;",
        "http{server{listen 1;root é}".as_bytes(),
    ] {
        nginx::parse(Path::new("/x"), bytes);
        tomcat::parse(bytes);
    }
    nginx::parse(Path::new("/x"), "a{".repeat(10_000).as_bytes());
    tomcat::parse(b"<Server><Service><Connector port='${p}'/><Host name='h'><Context docBase='/x'/></Service>");
    let root = tempfile::tempdir().unwrap();
    let put = |path: &str, bytes: &[u8]| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    // Files that include themselves, and sections that do not match.
    put(
        "etc/nginx/nginx.conf",
        b"http {\n include /etc/nginx/nginx.conf;\n server { listen 81; }\n",
    );
    put(
        "etc/apache2/apache2.conf",
        b"Include apache2.conf\n<VirtualHost *:80>\n</Directory>\nDocumentRoot \"/x\xff\n",
    );
    put("opt/tomcat9/conf/server.xml", b"<Server>\n<Connector port=\"x\"/>\n<Host name=\"a\">\n<<");
    let text = sites(root.path());
    for part in [
        "/etc/nginx/nginx.conf:2: files include",
        "/etc/apache2/apache2.conf:3: </directory> closes",
        "/opt/tomcat9/conf/server.xml:2: the port `x`",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
