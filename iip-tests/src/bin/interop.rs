//! The interoperability suite as a program: a server, and a client that runs cases against a server elsewhere.
//!
//! ```text
//! interop server --listen 127.0.0.1:0        prints its address, then serves until SIGTERM or Ctrl-C
//! interop client --addr ADDRESS --case all   or one case, or several with commas between them
//! interop list                               the names of the cases
//! ```

use std::error::Error;
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use iip_tests::interop::{ByAddress, Context, NAMES, SoakConfig, bind, run};

/// How long the server waits for its calls when it is stopped.
const GRACE: Duration = Duration::from_secs(5);

const USAGE: &str = "\
usage: interop server --listen ADDRESS
       interop client --addr ADDRESS --case NAME[,NAME...]|all [settings]
       interop list
settings of the soak cases:
  --iterations COUNT          calls of a case, all callers together (50)
  --callers COUNT             callers of the concurrent cases (8)
  --max-failures COUNT        how many calls may fail (0)
  --max-latency-ms TIME       how long a call may take (no limit)
  --overall-timeout-s TIME    how long a case may take (100)
  --min-time-between-ms TIME  least time between two calls of a caller (0)
  --request-size BYTES        payload of a request (271828)
  --reply-size BYTES          payload of a reply (314159)
  --interval-calls COUNT      calls of long_lived_channel (5)
  --interval-ms TIME          time between two of them (10)";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the command line asks for.
#[derive(Default)]
struct Arguments {
    address: Option<String>,
    cases: Option<String>,
    soak: SoakConfig,
}

fn number<N: FromStr>(name: &str, text: &str) -> Result<N> {
    let mistake = |_| format!("{name} takes a number, and {text:?} is none");
    Ok(text.parse().map_err(mistake)?)
}

fn milliseconds(name: &str, text: &str) -> Result<Duration> {
    Ok(Duration::from_millis(number(name, text)?))
}

impl Arguments {
    fn parse(mut texts: impl Iterator<Item = String>) -> Result<Self> {
        let mut arguments = Self::default();
        let soak = &mut arguments.soak;
        while let Some(name) = texts.next() {
            let value = texts
                .next()
                .ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
            match name.as_str() {
                "--listen" | "--addr" => arguments.address = Some(value),
                "--case" => arguments.cases = Some(value),
                "--iterations" => soak.iterations = number(&name, &value)?,
                "--callers" => soak.callers = number(&name, &value)?,
                "--max-failures" => soak.max_failures = number(&name, &value)?,
                "--max-latency-ms" => soak.max_latency = Some(milliseconds(&name, &value)?),
                "--overall-timeout-s" => {
                    soak.overall_timeout = Duration::from_secs(number(&name, &value)?);
                }
                "--min-time-between-ms" => soak.min_time_between = milliseconds(&name, &value)?,
                "--request-size" => soak.request_size = number(&name, &value)?,
                "--reply-size" => soak.reply_size = number(&name, &value)?,
                "--interval-calls" => soak.interval_calls = number(&name, &value)?,
                "--interval-ms" => soak.interval = milliseconds(&name, &value)?,
                _ => return Err(format!("{name} is unknown\n{USAGE}").into()),
            }
        }
        Ok(arguments)
    }

    fn address(&self) -> Result<&str> {
        Ok(self.address.as_deref().ok_or(USAGE)?)
    }
}

async fn serve(arguments: &Arguments) -> Result<()> {
    let server = bind(arguments.address()?).await?;
    writeln!(stdout(), "{}", server.local_addr())?;
    server
        .serve_with_shutdown(iip_rpc::shutdown_signal(), GRACE)
        .await?;
    Ok(())
}

async fn call(arguments: &Arguments) -> Result<()> {
    let target = ByAddress::new(arguments.address()?);
    let context = Context::connect(target, arguments.soak.clone()).await?;
    let names = match arguments.cases.as_deref() {
        None => return Err(USAGE.into()),
        Some("all") => NAMES.to_vec(),
        Some(names) => names.split(',').collect(),
    };
    let mut failed = 0;
    for name in &names {
        match run(name, &context).await {
            Ok(note) => writeln!(stdout(), "{name}: passed ({note})")?,
            Err(failure) => {
                failed += 1;
                writeln!(stdout(), "{name}: FAILED: {failure}")?;
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} of {} cases failed", names.len()).into()),
    }
}

fn main() -> ExitCode {
    let mut texts = std::env::args().skip(1);
    let command = texts.next();
    let result = Arguments::parse(texts).and_then(|arguments| match command.as_deref() {
        Some("server") => iip_rpc::run(serve(&arguments)),
        Some("client") => iip_rpc::run(call(&arguments)),
        Some("list") => Ok(writeln!(stdout(), "{}", NAMES.join("\n"))?),
        _ => Err(USAGE.into()),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may read it any more.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
