//! Certificates that an authority issues: ordered in the background, and put in force when they are there.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::reload::{Reloads, renew_certificates};
use crate::acme::{Challenges, OrderError, Ordered, Renewals};
use crate::clock::Clock;
use crate::config::{Acme, AcmeChallenge, Tls};
use crate::forwarding::chain;

/// Between two looks at what is due. The wall clock decides, which may step, so that no timer is set for it.
const LOOK: Duration = Duration::from_secs(1);

/// Orders what is due, for as long as it is polled.
pub(super) async fn run(reloads: Reloads, challenges: Arc<Challenges>, clock: Clock) {
    let mut renewals = Renewals::new(challenges, clock);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let config = reloads.config();
        let Tls::Acme(acme) = &config.tls else { continue };
        match renewals.tend(acme).await {
            Some((host, Ordered::Issued { due_already })) => {
                reloads.note_order(&host, true);
                tracing::info!(host, "a certificate was issued");
                if let Some(again_in) = due_already {
                    tracing::error!(
                        fault = "operator",
                        host,
                        remedy = "set the clock of this machine; if it is right, see what the authority issues",
                        again_in = %whole_seconds(again_in),
                        "the certificate that was just issued is due for renewal already"
                    );
                }
                renew_certificates(&reloads).await;
            }
            Some((host, Ordered::Failed { error, again_in })) => {
                reloads.note_order(&host, false);
                let remedy = matches!(error, OrderError::NotSeen(_)).then(|| remedy(acme, &host));
                tracing::error!(
                    fault = error.fault(),
                    host,
                    error = chain(&error),
                    remedy,
                    again_in = %whole_seconds(again_in),
                    "no certificate was issued; one that there is stays"
                );
            }
            None => {}
        }
    }
}

fn whole_seconds(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(duration.as_secs()))
}

/// What the authority has to see.
fn remedy(acme: &Acme, host: &str) -> String {
    match acme.challenge {
        AcmeChallenge::Http01 => format!("the authority must reach listen.http as http://{host}/, at port 80"),
        AcmeChallenge::TlsAlpn01 => {
            format!("the authority must reach listen.https as {host} at port 443, where nobody else ends TLS")
        }
    }
}
