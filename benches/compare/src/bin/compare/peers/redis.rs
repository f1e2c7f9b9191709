//! Redis, over a Unix socket, nothing kept on disk.

use std::path::PathBuf;
use std::process::Command;

use hintdex_wire::Hint;
use redis::{Client, Connection};

use super::server::{Server, find};
use super::{Entry, HINTS_PER_BATCH, Home, Kind, NOT_FOUND, Peer, Way};
use crate::Outcome;
use crate::workload::{Order, Row, Site};

/// Hints that are set together.
const ROWS_PER_LOAD: usize = 1 << 10;

struct Redis {
    connection: Connection,
    empty_bytes: u64,
    server: Server,
}

pub fn entry() -> Entry {
    Entry {
        order: Order::Fleet,
        has_batch: true,
        note: "Debian's redis-server, Unix socket, no persistence; SET in pipelines of 1,024, \
               GET alone and in pipelines of 256; its bytes are used_memory, less when empty",
        lacks: || program().is_none().then(|| "redis-server is not installed".into()),
        ..Entry::new("redis", "Redis", Kind::Server, Home::Process(make))
    }
}

fn program() -> Option<PathBuf> {
    find("redis-server", &[])
}

fn make(site: &Site, rows: Vec<Row>) -> Outcome<Box<dyn Peer>> {
    let socket = site.path("redis.sock");
    let mut command = Command::new(program().ok_or("redis-server is not installed")?);
    command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket);
    command.args(["--unixsocketperm", "700", "--dir"]).arg(&site.folder);
    let mut server = Server::start("redis-server", &mut command, &site.path("redis.log"))?;
    let client = Client::open(format!("redis+unix://{}", socket.display()))?;
    let connection = server.connect(|| client.get_connection())?;
    let mut redis = Redis { connection, empty_bytes: 0, server };
    redis.empty_bytes = redis.used_bytes()?;
    for rows in rows.chunks(ROWS_PER_LOAD) {
        let mut pipe = redis::pipe();
        for (hint, device) in rows {
            pipe.set(hint, &device.to_le_bytes()).ignore();
        }
        pipe.exec(&mut redis.connection)?;
    }
    Ok(Box::new(redis))
}

impl Redis {
    fn used_bytes(&mut self) -> Outcome<u64> {
        let info: String = redis::cmd("INFO").arg("memory").query(&mut self.connection)?;
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        Ok(line.ok_or("redis-server does not tell used_memory")?.trim().parse()?)
    }
}

fn parse(device: Option<Vec<u8>>) -> Outcome<u32> {
    Ok(u32::from_le_bytes(device.ok_or(NOT_FOUND)?.as_slice().try_into()?))
}

impl Peer for Redis {
    fn look_up(&mut self, way: Way, hints: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        if way.batch {
            for batch in hints.chunks(HINTS_PER_BATCH) {
                let mut pipe = redis::pipe();
                for hint in batch {
                    pipe.get(hint.as_bytes());
                }
                let found: Vec<Option<Vec<u8>>> = pipe.query(&mut self.connection)?;
                for device in found {
                    devices.push(parse(device)?);
                }
            }
            return Ok(());
        }
        for hint in hints {
            let get = redis::cmd("GET").arg(hint.as_bytes()).query(&mut self.connection)?;
            devices.push(parse(get)?);
        }
        Ok(())
    }

    fn stored_bytes(&mut self) -> Outcome<Option<u64>> {
        Ok(Some(self.used_bytes()?.saturating_sub(self.empty_bytes)))
    }

    fn resident_bytes(&mut self) -> Outcome<Option<u64>> {
        Ok(Some(self.server.resident_bytes()))
    }
}
