//! PostgreSQL, over a Unix socket, in a cluster of the run's own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use hintdex_wire::Hint;
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::types::Type;
use postgres::{Client, NoTls, Statement};

use super::server::{Server, find, run};
use super::{Entry, HINTS_PER_BATCH, Home, Kind, NOT_FOUND, Peer, Way};
use crate::Outcome;
use crate::workload::{Row, Site};

/// The user that runs the server where this runs as root, which it refuses.
const USER: &str = "postgres";

struct Postgres {
    client: Client,
    one: Statement,
    many: Statement,
    server: Server,
}

pub fn entry() -> Entry {
    Entry {
        has_batch: true,
        note: "Debian's postgresql, Unix socket, shared_buffers 2 GB; sorted binary COPY, then \
               the primary key and VACUUM; prepared statements, `= ANY` for 256; its bytes are \
               pg_total_relation_size",
        lacks: || program("initdb").is_none().then(|| "postgresql is not installed".into()),
        ..Entry::new("postgresql", "PostgreSQL", Kind::Server, Home::Process(make))
    }
}

/// Debian keeps the programs of the server out of `PATH`.
fn program(name: &str) -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    find(name, &folders)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `name` of the server's programs, run by somebody it accepts.
fn command(name: &str) -> Outcome<Command> {
    let program = program(name).ok_or("postgresql is not installed")?;
    if !is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--"]).arg(program);
    Ok(command)
}

/// The number of the user or group `USER`.
fn number(flag: &str) -> Outcome<u32> {
    let output = Command::new("id").args([flag, USER]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn make_folder(path: &Path) -> Outcome<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    if is_root() {
        chown(path, Some(number("-u")?), Some(number("-g")?))?;
    }
    Ok(())
}

fn make(site: &Site, rows: Vec<Row>) -> Outcome<Box<dyn Peer>> {
    let folder = site.path("postgresql");
    make_folder(&folder)?;
    let data = folder.join("data");
    let mut initdb = command("initdb")?;
    initdb.args(["--auth=trust", "--no-sync", "--username=compare", "--pgdata"]).arg(&data);
    run(initdb.current_dir(&folder))?;
    let mut postgres = command("postgres")?;
    postgres.current_dir(&folder).arg("-D").arg(&data).arg("-k").arg(&folder);
    for setting in [
        "listen_addresses=",
        "shared_buffers=2GB",
        "max_wal_size=8GB",
        "maintenance_work_mem=1GB",
        "fsync=off",
        "autovacuum=off",
    ] {
        postgres.args(["-c", setting]);
    }
    let mut server = Server::start("postgres", &mut postgres, &site.path("postgresql.log"))?;
    let address = format!("host={} user=compare dbname=postgres", folder.display());
    let mut client = server.connect(|| Client::connect(&address, NoTls))?;
    load(&mut client, &rows)?;
    let one = client.prepare("SELECT device FROM hints WHERE hint = $1")?;
    let many = client.prepare("SELECT hint, device FROM hints WHERE hint = ANY($1)")?;
    Ok(Box::new(Postgres { client, one, many, server }))
}

fn load(client: &mut Client, rows: &[Row]) -> Outcome<()> {
    client.batch_execute("CREATE TABLE hints (hint bytea NOT NULL, device int4 NOT NULL)")?;
    let copy = client.copy_in("COPY hints FROM STDIN BINARY")?;
    let mut copy = BinaryCopyInWriter::new(copy, &[Type::BYTEA, Type::INT4]);
    for (hint, device) in rows {
        copy.write(&[&&hint[..], &i32::try_from(*device)?])?;
    }
    copy.finish()?;
    client.batch_execute("ALTER TABLE hints ADD PRIMARY KEY (hint)")?;
    Ok(client.batch_execute("VACUUM (FREEZE, ANALYZE) hints")?)
}

impl Postgres {
    fn find_batch(&mut self, batch: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        let asked: Vec<&[u8]> = batch.iter().map(|hint| &hint.as_bytes()[..]).collect();
        let rows = self.client.query(&self.many, &[&asked])?;
        // They come in an order of the server's own, and a hint that was asked
        // for twice comes once.
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            found.push((row.try_get::<_, &[u8]>(0)?, row.try_get::<_, i32>(1)?));
        }
        found.sort_unstable();
        for hint in asked {
            let place = found.binary_search_by_key(&hint, |(hint, _)| hint);
            devices.push(u32::try_from(found[place.map_err(|_| NOT_FOUND)?].1)?);
        }
        Ok(())
    }
}

impl Peer for Postgres {
    fn look_up(&mut self, way: Way, hints: &[Hint], devices: &mut Vec<u32>) -> Outcome<()> {
        if way.batch {
            return hints
                .chunks(HINTS_PER_BATCH)
                .try_for_each(|batch| self.find_batch(batch, devices));
        }
        for hint in hints {
            let row = self.client.query_opt(&self.one, &[&&hint.as_bytes()[..]])?;
            devices.push(u32::try_from(row.ok_or(NOT_FOUND)?.try_get::<_, i32>(0)?)?);
        }
        Ok(())
    }

    fn stored_bytes(&mut self) -> Outcome<Option<u64>> {
        let row = self.client.query_one("SELECT pg_total_relation_size('hints')", &[])?;
        Ok(Some(u64::try_from(row.try_get::<_, i64>(0)?)?))
    }

    fn resident_bytes(&mut self) -> Outcome<Option<u64>> {
        Ok(Some(self.server.resident_bytes()))
    }
}
