//! Asking an address from time to time whether it is well, over a connection as those of requests, made anew each time: that
//! nothing accepts connections any more is found as well.

use std::sync::Arc;

use aws_lc_rs::rand;
use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::{HealthCheck, Timeouts};
use crate::forwarding::backend::Connection;
use crate::forwarding::connect::{Dialler, Offer};
use crate::forwarding::error::{ConnectError, ForwardError, chain};
use crate::forwarding::framing;
use crate::forwarding::request_body::RequestBody;
use crate::forwarding::response_timer::ResponseTimer;
use crate::forwarding::upstreams::Address;

/// So that an application's log tells them from requests.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("usher/", env!("CARGO_PKG_VERSION"), " (health check)"));

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("its health check found no connection")]
    Connect(#[from] ConnectError),
    #[error("its health check had no answer")]
    Ask(#[from] ForwardError),
    #[error("its health check was answered {0}")]
    Status(StatusCode),
    #[error("its health check took too long")]
    TimedOut,
}

/// Asks until it is cancelled. An address is taken for well until checks have failed as often as they must, those before a
/// reload that left them as they were included.
pub(super) async fn run(address: Arc<Address>, check: HealthCheck, end: CancellationToken) {
    let checks = async {
        let dialler = Dialler::new(Arc::clone(&address));
        // Those of many addresses, and of many instances, do not come all at once.
        sleep(check.interval.mul_f64(chance() / 4.0)).await;
        loop {
            let began = Instant::now();
            let outcome = ask(&dialler, &check).await;
            conclude(&address, &check, outcome);
            sleep_until(began + check.interval.mul_f64(0.9 + chance() / 5.0)).await;
        }
    };
    end.run_until_cancelled(checks).await;
}

fn conclude(address: &Address, check: &HealthCheck, outcome: Result<(), CheckError>) {
    let (length, name) = (address.condition.add_check(outcome.is_ok()), &*address.name);
    match outcome {
        Ok(()) if length >= check.healthy_after && address.condition.checked(true) => {
            tracing::info!(address = name, "the application at this address is well again, say its health checks");
        }
        Err(error) if length >= check.unhealthy_after => {
            let (cause, is_news) = (chain(&error), address.condition.checked(false));
            if is_news {
                tracing::warn!(fault = "upstream", address = name, cause, "the application at this address is ill");
            }
            address.condition.note_failure(cause);
        }
        Ok(()) | Err(_) => {}
    }
}

async fn ask(dialler: &Dialler, check: &HealthCheck) -> Result<(), CheckError> {
    let status = timeout(check.timeout, answer(dialler, check)).await.map_err(|_| CheckError::TimedOut)??;
    if check.status.contains(&status.as_u16()) { Ok(()) } else { Err(CheckError::Status(status)) }
}

async fn answer(dialler: &Dialler, check: &HealthCheck) -> Result<StatusCode, CheckError> {
    let address = dialler.address();
    let connection = Connection::new(address, dialler.connect(Offer::Any, check.timeout).await?).await?;
    let mut request = Box::new(Request::new(RequestBody::empty()));
    *request.uri_mut() = check.path.parse().map_err(|_| ForwardError::InvalidAuthority)?;
    let host = check.host.clone().or_else(|| HeaderValue::try_from(address.authority()?.as_str()).ok());
    request.headers_mut().insert(HOST, host.ok_or(ForwardError::InvalidAuthority)?);
    request.headers_mut().insert(USER_AGENT, AGENT);
    let timeouts = Timeouts { connect: check.timeout, response: check.timeout, idle: check.timeout };
    let timer = ResponseTimer::new(&timeouts, None, false);
    match connection {
        Connection::Http1(connection) => {
            framing::for_http1(&mut request, None)?;
            connection.exchange(request, &timer).await.map(|answer| answer.status())
        }
        Connection::Http2(connection) => {
            framing::for_http2(&mut request, address)?;
            connection.exchange(request, &timer).await.map(|response| response.status())
        }
    }
    .map_err(|unanswered| unanswered.error.into())
}

/// From 0 to 1.
fn chance() -> f64 {
    let mut chance = [0];
    rand::fill(&mut chance).map_or(0.0, |()| f64::from(u8::from_be_bytes(chance)) / f64::from(u8::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::config::{Upstream, UpstreamAddress, UpstreamCare, UpstreamTls};
    use crate::forwarding::upstreams::Upstreams;

    #[test]
    fn a_verdict_changes_after_a_row_of_outcomes_and_outcomes_that_alternate_change_none() {
        let addresses = vec![UpstreamAddress::Http { host: "app".into(), port: 80 }];
        let check = HealthCheck {
            path: "/".into(),
            host: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            healthy_after: 2,
            unhealthy_after: 3,
            status: 200..=399,
        };
        let care = UpstreamCare { health: Some(check.clone()), ..UpstreamCare::default() };
        let upstream = [Upstream { addresses, tls: UpstreamTls::default(), care }];
        let upstreams = Upstreams::new(&upstream, &Clock::stopped()).unwrap();
        let address = &upstreams.pools()[0].addresses[0];
        let verdicts = |outcomes: &str| -> String {
            let verdict = |outcome| {
                let outcome = if outcome == '+' { Ok(()) } else { Err(CheckError::TimedOut) };
                conclude(address, &check, outcome);
                if address.condition.is_ill() { 'i' } else { 'w' }
            };
            outcomes.chars().map(verdict).collect()
        };
        assert_eq!(verdicts("--"), "ww", "it is well until checks have failed as often as they must");
        assert_eq!(verdicts("+--+--+-"), "wwwwwwww");
        assert_eq!(verdicts("--"), "wi");
        assert_eq!(verdicts("+-+-+"), "iiiii");
        let failure = || address.condition.failure().map(|failure| failure.cause.clone());
        assert_eq!(failure().as_deref(), Some("its health check took too long"));
        assert_eq!(verdicts("+"), "w");
        assert_eq!(failure(), None);
        assert_eq!(address.condition.counts.failed_checks.total(), 1);

        assert_eq!(verdicts("--"), "ww");
        let reloaded = upstreams.succeeded_by(&upstream).unwrap();
        conclude(&reloaded.pools()[0].addresses[0], &check, Err(CheckError::TimedOut));
        assert!(address.condition.is_ill(), "a reload begins no row anew");
    }
}
