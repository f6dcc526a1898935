//! Talks to an administrator over its HTTP interface; nothing else of the command line knows addresses or tokens.

use anyhow::{Context, Result, anyhow, bail};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use schema::{Code, Object, Problem};
use serde_json::Value;
use std::env;
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::Request;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// An administrator that commands are sent to.
#[derive(Clone)]
pub(crate) struct Client {
    base: String,
    token: Option<String>,
    /// The site's certificate authority as PEM.
    authority: Option<Vec<u8>>,
    agent: Agent,
}

/// A page of rows and the address of the next one.
pub(crate) struct RowsPage {
    pub(crate) rows: Vec<Object>,
    pub(crate) next: Option<String>,
}

impl Client {
    /// The administrator named by `BAILIWICK_URL`, with the token of `BAILIWICK_TOKEN`. `BAILIWICK_CA` is a file with
    /// the site's certificate authority, for addresses that are not this machine's own.
    pub(crate) fn from_environment() -> Result<Client> {
        let base = env::var("BAILIWICK_URL").unwrap_or_else(|_| "http://127.0.0.1:8640".into());
        let base = base.trim_end_matches('/').to_owned();
        let token = env::var("BAILIWICK_TOKEN").ok().filter(|token| !token.is_empty());
        let (mut tls, mut authority) = (TlsConfig::builder(), None);
        if let Some(file) = env::var_os("BAILIWICK_CA") {
            let pem = std::fs::read(&file).with_context(|| format!("reading BAILIWICK_CA, {}", file.display()))?;
            let certificate =
                Certificate::from_pem(&pem).map_err(|e| anyhow!("BAILIWICK_CA holds no certificate: {e}"))?;
            tls = tls.root_certs(RootCerts::new_with_certs(&[certificate.to_owned()]));
            authority = Some(pem);
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .tls_config(tls.build())
            .build();
        Ok(Client { base, token, authority, agent: config.into() })
    }

    /// `GET path` as JSON.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let response = self.request(path)?;
        read(response)
    }

    /// A page of rows at `path`, an address as the administrator gave it or below `/api/v1`.
    pub(crate) fn rows(&self, path: &str) -> Result<RowsPage> {
        let response = self.request(path)?;
        let next = response.headers().get("link").and_then(|v| v.to_str().ok()).and_then(next_link);
        match read(response)? {
            Value::Array(list) => {
                let rows =
                    list.into_iter().filter_map(|row| if let Value::Object(row) = row { Some(row) } else { None });
                Ok(RowsPage { rows: rows.collect(), next })
            }
            _ => bail!("the administrator answered {path} with something that is not a list of rows"),
        }
    }

    /// `POST path` with a JSON body; an idempotency key makes a repeat of the same call harmless.
    pub(crate) fn post(&self, path: &str, body: &Value, idempotency_key: Option<&str>) -> Result<Value> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let response = request.send_json(body).map_err(|e| self.unreachable(e))?;
        read(response)
    }

    /// Where to connect for a WebSocket at `path`, and what to ask there.
    pub(crate) fn socket_request(&self, path: &str) -> Result<(String, Request<()>)> {
        let base = url::Url::parse(&self.base).context("BAILIWICK_URL is no address")?;
        let host = base.host_str().context("BAILIWICK_URL names no host")?;
        let address = format!("{host}:{}", base.port_or_known_default().unwrap_or(80));
        let scheme = if base.scheme() == "https" { "wss" } else { "ws" };
        let mut request = format!("{scheme}://{address}{path}").into_client_request()?;
        if let Some(token) = &self.token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
        }
        Ok((address, request))
    }

    /// How to speak TLS to the administrator; `None` where it is on plain HTTP, on this very machine.
    pub(crate) fn tls_config(&self) -> Result<Option<Arc<rustls::ClientConfig>>> {
        if !self.base.starts_with("https://") {
            return Ok(None);
        }
        let pem = self.authority.as_ref().context("set BAILIWICK_CA to a file with the site's authority")?;
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(pem).map_err(|e| anyhow!("BAILIWICK_CA holds no certificate: {e}"))?)?;
        let config = rustls::ClientConfig::builder_with_provider(identity::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Some(Arc::new(config)))
    }

    fn request(&self, path: &str) -> Result<ureq::http::Response<Body>> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        request.call().map_err(|e| self.unreachable(e))
    }

    fn unreachable(&self, error: ureq::Error) -> anyhow::Error {
        Problem::new(Code::Unavailable, format!("the administrator at {} cannot be reached: {error}.", self.base))
            .fix("Start it with `bailiwick serve`, or set BAILIWICK_URL to its address.")
            .into()
    }
}

fn read(mut response: ureq::http::Response<Body>) -> Result<Value> {
    let status = response.status();
    let text =
        response.body_mut().with_config().limit(256 * 1024 * 1024).read_to_string().context("reading the answer")?;
    if status.is_success() {
        if text.is_empty() {
            return Ok(Value::Null);
        }
        return serde_json::from_str(&text).context("the administrator's answer is not JSON");
    }
    match serde_json::from_str::<Problem>(&text) {
        Ok(mut problem) => {
            if problem.code == Code::Unauthenticated && problem.fix.is_none() {
                problem = problem.fix("Set BAILIWICK_TOKEN to a token from `bailiwick token create NAME --state DIR`.");
            }
            Err(problem.into())
        }
        Err(_) => bail!("the administrator answered with status {status}"),
    }
}

fn next_link(header: &str) -> Option<String> {
    header.split(',').find_map(|link| {
        let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        parameters.contains("rel=\"next\"").then(|| address.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::next_link;

    #[test]
    fn the_next_page_is_read_from_the_link_header() {
        assert_eq!(next_link("</api/v1/a/b?after=x>; rel=\"next\"").as_deref(), Some("/api/v1/a/b?after=x"));
        assert_eq!(next_link("</a>; rel=\"prev\", </b>; rel=\"next\"").as_deref(), Some("/b"));
        assert_eq!(next_link(""), None);
    }
}
