//! The network between the nodes: each directed link of two members is a pair of proxies, one for each port, whose
//! weather the harness makes.
//!
//! Bytes that are held up by a cut are delivered when it ends, as TCP's repeats would, unless the connection broke.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes that travel in one piece.
const PIECE_BYTES: usize = 64 << 10;

/// How bytes fare from one member to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// They pass.
    Clear,
    /// None pass; open connections break, or wait.
    Cut {
        /// Whether they break.
        breaks: bool,
    },
    /// Each piece takes up to so many milliseconds longer.
    Slow {
        /// At most.
        max_ms: u64,
    },
    /// A connection breaks at so many of a thousand pieces.
    Lossy {
        /// Of a thousand.
        permille: u32,
    },
}

/// All links of a cluster.
pub struct Links {
    weather: BTreeMap<(usize, usize), watch::Sender<Weather>>,
    via: Vec<String>,
    _proxies: JoinSet<()>,
}

/// What one direction of a link is told.
type Forecast = watch::Receiver<Weather>;

impl Links {
    /// Links between members with these peer and HTTP addresses.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn between(members: &[(String, String)]) -> io::Result<Self> {
        let count = members.len();
        let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let weather: BTreeMap<(usize, usize), watch::Sender<Weather>> = pairs
            .filter(|(from, to)| from != to)
            .map(|pair| (pair, watch::Sender::new(Weather::Clear)))
            .collect();
        let mut proxies = JoinSet::new();
        let mut via = vec![Vec::new(); count];
        for &(from, to) in weather.keys() {
            let (peer, http) = &members[to];
            for target in [peer, http] {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                via[from].push(format!("{target}={}", listener.local_addr()?));
                let target: SocketAddr = target.parse().expect("a node has an address");
                let (there, back) = (weather[&(from, to)].subscribe(), weather[&(to, from)].subscribe());
                proxies.spawn(serve(listener, target, there, back));
            }
        }
        let via = via.into_iter().map(|list| list.join(",")).collect();
        Ok(Self { weather, via, _proxies: proxies })
    }

    /// The detours that a member is started with.
    #[must_use]
    pub fn via(&self, member: usize) -> &str {
        &self.via[member]
    }

    /// Makes the weather from one member to another.
    ///
    /// # Panics
    /// When there is no such link.
    pub fn set(&self, from: usize, to: usize, weather: Weather) {
        self.weather[&(from, to)].send_replace(weather);
    }

    /// Makes all weather clear.
    pub fn clear(&self) {
        for weather in self.weather.values() {
            weather.send_replace(Weather::Clear);
        }
    }
}

async fn serve(listener: TcpListener, target: SocketAddr, there: Forecast, back: Forecast) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((near, _)) = accepted {
                    connections.spawn(carry(near, target, there.clone(), back.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, until it ends at either side or breaks.
async fn carry(near: TcpStream, target: SocketAddr, mut there: Forecast, back: Forecast) {
    // A SYN gets through no cut.
    if there.wait_for(|weather| !matches!(weather, Weather::Cut { .. })).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(target).await else { return };
    if near.set_nodelay(true).is_err() || far.set_nodelay(true).is_err() {
        return;
    }
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    // When one direction breaks, both do.
    let both = tokio::try_join!(pipe(near_read, far_write, there), pipe(far_read, near_write, back));
    drop(both);
}

async fn pipe(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: Forecast) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let length = tokio::select! {
            read = from.read(&mut piece) => read?,
            () = broken(&mut weather) => return Err(io::ErrorKind::ConnectionReset.into()),
        };
        pass(&mut weather).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..length]).await?;
    }
}

/// Resolves when the weather breaks connections.
async fn broken(weather: &mut Forecast) {
    let breaks = weather.wait_for(|weather| matches!(weather, Weather::Cut { breaks: true })).await.is_ok();
    if !breaks {
        std::future::pending::<()>().await;
    }
}

/// Waits until a piece may pass.
async fn pass(weather: &mut Forecast) -> io::Result<()> {
    loop {
        let now = *weather.borrow_and_update();
        match now {
            Weather::Clear => return Ok(()),
            Weather::Cut { breaks: true } => return Err(io::ErrorKind::ConnectionReset.into()),
            Weather::Cut { breaks: false } => {
                weather.changed().await.map_err(|_| io::ErrorKind::ConnectionReset)?;
            }
            Weather::Slow { max_ms } => {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..=max_ms))).await;
                return Ok(());
            }
            Weather::Lossy { permille } => {
                return if fastrand::u32(0..1000) < permille {
                    Err(io::ErrorKind::ConnectionReset.into())
                } else {
                    Ok(())
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two members, of which the second sends back what it gets; and a connection from the first to it.
    async fn connected() -> (Links, TcpStream) {
        let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = echo.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.into_split();
                    drop(tokio::io::copy(&mut from, &mut to).await);
                });
            }
        });
        let nobody = "127.0.0.1:1".to_owned();
        let links = Links::between(&[(nobody.clone(), nobody.clone()), (address, nobody)]).await.unwrap();
        let proxy = links.via(0).split([',', '=']).nth(1).unwrap();
        let stream = TcpStream::connect(proxy).await.unwrap();
        (links, stream)
    }

    async fn echoes(stream: &mut TcpStream, text: &[u8]) -> bool {
        let mut back = vec![0; text.len()];
        let sent = stream.write_all(text).await;
        sent.is_ok() && stream.read_exact(&mut back).await.is_ok() && back == text
    }

    #[tokio::test]
    async fn what_a_cut_holds_up_is_delivered_when_it_ends() {
        let (links, mut stream) = connected().await;
        assert!(echoes(&mut stream, b"before").await);
        for (from, to) in [(0, 1), (1, 0)] {
            links.set(from, to, Weather::Cut { breaks: false });
            stream.write_all(b"during").await.unwrap();
            let none = tokio::time::timeout(Duration::from_millis(30), stream.peek(&mut [0])).await;
            assert!(none.is_err(), "nothing passes");
            links.clear();
            let mut back = [0; 6];
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(&back, b"during");
        }
    }

    #[tokio::test]
    async fn a_cut_that_breaks_ends_open_connections() {
        let (links, mut stream) = connected().await;
        assert!(echoes(&mut stream, b"before").await);
        links.set(1, 0, Weather::Cut { breaks: true });
        assert!(!echoes(&mut stream, b"during").await);
    }

    #[tokio::test]
    async fn slow_and_lossy_links_deliver_whole_or_break() {
        let (links, mut stream) = connected().await;
        links.set(0, 1, Weather::Slow { max_ms: 5 });
        assert!(echoes(&mut stream, &[7; 50_000]).await);
        links.set(0, 1, Weather::Lossy { permille: 1000 });
        assert!(!echoes(&mut stream, b"lost").await);
    }
}
