// Acts while this Pod leads: appends its fencing token and name to a ledger, five times a second. Standard library only.
//   rustc -O leader.rs && ./leader [localhost:4040] [ledger]
use std::fs::{read_to_string, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The body of an answer; use your own HTTP library here.
fn ask(address: &str, method: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?; // the sidecar itself: with an HTTP library see that it obeys no http_proxy
    stream.set_read_timeout(Some(Duration::from_secs(15)))?;
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") && body.trim_end().ends_with('}') => Ok(body.to_string()),
        _ => Err(Error::new(ErrorKind::Other, answer)),
    }
}

/// A field of a flat JSON object; use your own JSON library here.
fn field<'a>(json: &'a str, name: &str) -> &'a str {
    let rest = json.split_once(&format!("\"{name}\":")).map_or("", |(_, rest)| rest.trim_start());
    rest.strip_prefix('"').map_or_else(|| rest.split([',', '}']).next(), |text| text.split('"').next()).unwrap_or_default()
}

/// CLOCK_BOOTTIME, which the library has no call for, in hundredths of a second and rounded up.
fn now() -> Result<u64> {
    let uptime = read_to_string("/proc/uptime")?;
    let hundredths = uptime.split(' ').next().unwrap_or_default().replace('.', "");
    Ok(hundredths.parse::<u64>().map_err(|error| Error::new(ErrorKind::Other, error))? + 1)
}

/// One look, and one piece of work if this Pod leads; the version, and how long to wait for another.
fn turn(address: &str, ledger: &str, version: &str, wait: &str) -> Result<(String, &'static str)> {
    let answer = ask(address, "GET", &format!("/leader?since={version}&wait={wait}"))?;
    let leads = field(&answer, "is_leader") == "true";
    let until: u64 = field(&answer, "valid_until_boottime_ns").parse().map_err(|error| Error::new(ErrorKind::Other, error))?;
    // Right before each side effect. What the work changes should refuse a token smaller than the largest it has seen.
    if leads && now()? < until / 10_000_000 {
        let line = format!("{} {}\n", field(&answer, "fencing_token"), field(&answer, "name"));
        OpenOptions::new().append(true).create(true).open(ledger)?.write_all(line.as_bytes())?;
    } else if field(&answer, "state") == "stepping-down" {
        ask(address, "POST", "/drained")?; // nothing is under way: the next one may begin
    }
    // The pace of the work; anything below expires_in will do: renewals move the deadline and not the version.
    Ok((field(&answer, "version").to_string(), if leads { "200ms" } else { "5s" }))
}

fn main() {
    let argument = |number, default: &str| std::env::args().nth(number).unwrap_or(default.to_string());
    let (address, ledger) = (argument(1, "localhost:4040"), argument(2, "ledger"));
    let (mut version, mut wait) = (String::new(), "0");
    loop {
        (version, wait) = turn(&address, &ledger, &version, wait).unwrap_or_else(|_no_answer| {
            std::thread::sleep(Duration::from_millis(200)); // not the leader
            (String::new(), "0")
        });
    }
}
