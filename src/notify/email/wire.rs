//! The connection to a mail server, as lettre is to read it: a line at a time, and not without end.
//!
//! lettre reads a whole line before it looks how long that is, and keeps what a server has said too early when the connection
//! becomes a secure one: whoever sits in between could put words into the server's mouth that way.

use lettre::transport::smtp::client::AsyncTokioStream;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

/// So much a server may say to one line of ours, a certificate and all that vouch for it among it.
const ANSWER: usize = 64 << 10;
/// A line counts as so much more than it is long: with each line, lettre reads all those before it again.
const LINE: usize = 100;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: BufReader<S>,
    /// The server's end of it.
    peer: SocketAddr,
    /// How much came since we last said something.
    heard: usize,
}

impl Wire<TcpStream> {
    /// Connects to the first of these that answers, each within this time.
    pub async fn connect(addresses: &[SocketAddr], within: Duration) -> io::Result<Wire<TcpStream>> {
        let mut why = io::ErrorKind::AddrNotAvailable.into();
        for address in addresses {
            match timeout(within, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(Wire::new(stream, *address)),
                Ok(Err(error)) => why = error,
                Err(_) => why = io::Error::new(io::ErrorKind::TimedOut, "connection timed out"),
            }
        }
        Err(why)
    }

    /// The same, secure from the first byte on. What the other side has said before that is over is not for lettre.
    pub async fn secure(self, host: &str, config: ClientConfig) -> io::Result<Wire<TlsStream<TcpStream>>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, self.stream.into_inner()).await?;
        Ok(Wire::new(stream, self.peer))
    }
}

impl<S: AsyncRead> Wire<S> {
    fn new(stream: S, peer: SocketAddr) -> Wire<S> {
        Wire { stream: BufReader::new(stream), peer, heard: 0 }
    }
}

/// Trusts this authority, or whom the machine trusts.
pub(super) fn trusting(ca: Option<&[u8]>) -> Option<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let builder = match ca {
        None => builder.with_platform_verifier().ok()?,
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.add(certificate.ok()?).ok()?;
            }
            builder.with_root_certificates(roots)
        }
    };
    Some(builder.with_no_client_auth())
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    /// At most up to the end of a line: what stands behind it is read when it is asked for.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let mut stream = Pin::new(&mut wire.stream);
        let there = ready!(stream.as_mut().poll_fill_buf(cx))?;
        let line = there.iter().position(|byte| *byte == b'\n').map_or(there.len(), |end| end + 1);
        let count = line.min(into.remaining());
        wire.heard += count + LINE;
        if wire.heard > ANSWER {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "it talks without end")));
        }
        into.put_slice(&there[..count]);
        stream.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heard = 0;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin + std::fmt::Debug> AsyncTokioStream for Wire<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}
