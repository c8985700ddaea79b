//! Pulls by https: the certificate has to be of an authority that the platform knows, for this name, and not expired.
//!
//! The files in `certificates` are for these tests only: an authority, and certificates for `localhost` with their key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::block_on;
use crate::support::http::authority;
use crate::support::outcome::{Counts, Outcome};
use crate::support::sample_tables::create_one_row;
use crate::support::site::{Running, Share, Site};

/// What certifies the others; a platform that shall know it reads this file.
const AUTHORITY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/security/certificates/authority.pem"
);

/// For `localhost`, until 2120.
const VALID: &[u8] = include_bytes!("certificates/site.pem");

/// For `localhost`, until 2021.
const EXPIRED: &[u8] = include_bytes!("certificates/expired.pem");

/// The key of both.
const KEY: &[u8] = include_bytes!("certificates/key.pem");

/// A proxy that speaks TLS with a certificate for `localhost`.
struct TlsProxy {
    port: u16,
    /// How many clients accepted the certificate.
    accepted: Arc<AtomicUsize>,
}

impl TlsProxy {
    fn new(share: &Share, certificate: &[u8]) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certificate = CertificateDer::from_pem_slice(certificate).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate],
                PrivateKeyDer::from_pem_slice(KEY).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let accepted = Arc::<AtomicUsize>::default();
        let (count, share) = (Arc::clone(&accepted), authority(&share.url).to_owned());
        let port = block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            // Runs until the process ends.
            tokio::spawn(async move {
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    let (acceptor, share) = (acceptor.clone(), share.clone());
                    let count = Arc::clone(&count);
                    tokio::spawn(async move {
                        if let Ok(mut client) = acceptor.accept(client).await {
                            count.fetch_add(1, Ordering::Relaxed);
                            let mut share = TcpStream::connect(share).await.unwrap();
                            let _ = copy_bidirectional(&mut client, &mut share).await;
                        }
                    });
                }
            });
            port
        });
        Self { port, accepted }
    }
}

/// Pulls one row through a proxy with a certificate, under a host's name; `known`: the platform knows the authority.
fn pull(certificate: &[u8], host: &str, known: bool) -> (Outcome, usize) {
    let site = Site::new();
    let share = site.share(&[&create_one_row(&site, "source.db")]);
    let proxy = TlsProxy::new(&share, certificate);
    let (url, target) = (
        format!("https://{host}:{}", proxy.port),
        site.path("target.db"),
    );
    let arguments = ["pull", "--json", &url, &share.code, "--into", &target];
    let mut pull = site.command("pull-data", &arguments);
    pull.env_remove("SSL_CERT_DIR").env_remove("SSL_CERT_FILE");
    if known {
        pull.env("SSL_CERT_FILE", AUTHORITY);
    }
    let outcome = Running::start(pull).wait();
    (outcome, proxy.accepted.load(Ordering::Relaxed))
}

#[test]
fn a_certificate_has_to_be_known_valid_and_for_this_name() {
    let (outcome, accepted) = pull(VALID, "localhost", true);
    assert_eq!(outcome.done().counts("t"), Counts::created(1));
    assert!(accepted > 0);

    for (certificate, host, known, reason) in [
        (VALID, "localhost", false, "certificate"),
        (VALID, "127.0.0.1", true, "certificate"),
        (EXPIRED, "localhost", true, "expired"),
    ] {
        let (outcome, accepted) = pull(certificate, host, known);
        outcome.error("unreachable").names(&[reason]).has_hint();
        assert_eq!(accepted, 0, "{host}: no request is sent");
    }
}
