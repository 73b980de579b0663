use std::error::Error;
use std::path::Path;

use iip_core::balance::{Discover, Static, Targets, WatchedFile};
use iip_core::transport::Address;

/// Where a channel is to lead.
#[derive(Debug)]
pub(super) enum Target {
    One(Address),
    Many(Box<dyn Discover>),
}

type Refused = Box<dyn Error + Send + Sync>;

/// Reads what is given to [`Channel::builder`](super::Channel::builder).
pub(super) fn parse(text: &str) -> Result<Target, Refused> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("file")) {
        return file(&text["file://".len()..]);
    }
    if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("dns")) {
        return dns(&text["dns://".len()..]);
    }
    if !text.contains([',', '#']) {
        return Ok(Target::One(text.parse()?));
    }
    let targets: Targets = text.parse()?;
    Ok(match &*targets {
        // A weight means nothing where there is nothing to compare it with.
        [only] => Target::One(only.address().clone()),
        _ => Target::Many(Box::new(Static::from(targets))),
    })
}

fn file(path: &str) -> Result<Target, Refused> {
    if !Path::new(path).is_absolute() {
        let text = format!(
            "invalid target \"file://{path}\": write file:///path of a file with a list of targets"
        );
        return Err(text.into());
    }
    Ok(Target::Many(Box::new(WatchedFile::new(path))))
}

#[cfg(feature = "dns")]
fn dns(name: &str) -> Result<Target, Refused> {
    let discover: iip_core::balance::Dns = name.parse()?;
    Ok(Target::Many(Box::new(discover)))
}

#[cfg(not(feature = "dns"))]
fn dns(name: &str) -> Result<Target, Refused> {
    let text = format!(
        "invalid target \"dns://{name}\": looking for several addresses of a name needs the feature `dns` of iip-rpc"
    );
    Err(text.into())
}
