//! Tomcat: `server.xml` with its connectors, hosts and contexts.

use std::path::{Path, PathBuf};

use model::because;
use model::because::Because;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Directory, Listen, Site};

/// Installations, where packages and people put them: folders that hold `conf/server.xml`.
pub(super) const BASES: &[&str] = &[
    "/var/lib/tomcat*",
    "/opt/tomcat*",
    "/opt/*/tomcat*",
    "/opt/apache-tomcat*",
    "/usr/local/tomcat*",
    "/usr/share/tomcat*",
    "/srv/tomcat*",
];
/// Most elements of one file.
const ELEMENTS_MAX: usize = 100_000;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) connectors: Vec<Listen>,
    /// Name and folder of each host, relative to the base unless absolute.
    pub(super) hosts: Vec<(String, String, u32)>,
    /// Path and folder of contexts that lie elsewhere, and the host they are of.
    pub(super) contexts: Vec<(String, String, String)>,
}

/// What the file says, and what is wrong with it as line and reason.
pub(super) fn parse(bytes: &[u8]) -> (Server, Vec<(u32, Because)>) {
    let (mut server, mut wrong) = (Server::default(), Vec::new());
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::from_str(&text);
    let (mut counted, mut lines) = (0, 1);
    // Counts on from where it stopped: counting anew for each element would be quadratic.
    let mut line = |reader: &Reader<&[u8]>| {
        let at = usize::try_from(reader.buffer_position()).unwrap_or(0);
        let more = text.get(counted..at).unwrap_or_default();
        lines += more.matches('\n').count() as u32;
        counted = at.max(counted);
        lines
    };
    for _ in 0..ELEMENTS_MAX {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => {
                let at = line(&reader);
                if let Err(why) = element_of(&element, at, &mut server) {
                    wrong.push((at, why));
                }
            }
            Ok(Event::Eof) => return (server, wrong),
            Ok(_) => {}
            Err(error) => {
                wrong.push((line(&reader), because!("config.xml", "{cause}", cause = error)));
                return (server, wrong);
            }
        }
    }
    wrong.push((line(&reader), because!("config.elements", "more elements than are read")));
    (server, wrong)
}

fn element_of(element: &BytesStart<'_>, line: u32, server: &mut Server) -> Result<(), Because> {
    let attribute = |name: &str| attribute(element, name);
    match element.local_name().as_ref() {
        "Connector" => {
            let port = attribute("port").unwrap_or_default();
            // Variables are filled in from properties that are not read.
            let port: u16 = port.parse().map_err(|_| {
                because!("config.port", "the port `{port}` is no number", port = port)
            })?;
            let tls =
                ["SSLEnabled", "secure"].iter().any(|it| attribute(it).as_deref() == Some("true"));
            let address = attribute("address").unwrap_or_else(|| "*".to_owned());
            server.connectors.push(Listen { address, port: Some(port), tls });
        }
        "Host" => {
            let name = attribute("name").unwrap_or_default();
            server.hosts.push((
                name,
                attribute("appBase").unwrap_or_else(|| "webapps".to_owned()),
                line,
            ));
        }
        "Context" => {
            if let Some(folder) = attribute("docBase") {
                let host = server.hosts.last().map(|it| it.0.clone()).unwrap_or_default();
                server.contexts.push((attribute("path").unwrap_or_default(), folder, host));
            }
        }
        _ => {}
    }
    Ok(())
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.attributes().flatten().find(|it| it.key.as_ref() == name)?;
    Some(attribute.value.into_owned())
}

/// Sites and folders of an installation at `base`.
pub(super) fn sites(base: &Path, file: &Path, server: Server) -> (Vec<Site>, Vec<Directory>) {
    let (mut sites, mut directories) = (Vec::new(), Vec::new());
    let mut bases: Vec<(String, PathBuf)> = Vec::new();
    for (name, folder, line) in server.hosts {
        let root = base.join(&folder);
        directories.push(Directory::new("tomcat", &root, "/", &name, file));
        for listen in &server.connectors {
            sites.push(Site {
                server: "tomcat",
                names: vec![name.clone()],
                listen: listen.clone(),
                root: Some(root.clone()),
                file: Some(file.to_owned()),
                line: Some(line),
                pid: None,
            });
        }
        bases.push((name, root));
    }
    for (url, folder, host) in server.contexts {
        let above =
            bases.iter().find(|(name, _)| *name == host).map_or(base, |(_, it)| it.as_path());
        let url = if url.is_empty() { "/" } else { &url };
        directories.push(Directory::new("tomcat", &above.join(folder), url, &host, file));
    }
    (sites, directories)
}
