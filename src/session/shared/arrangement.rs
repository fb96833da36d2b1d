//! From the configuration to an open connection: one server, the master that Sentinels name, or a Cluster.

use redis::aio::AsyncPushSender;
use redis::cluster::ClusterClientBuilder;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisResult, TlsCertificates, TlsMode,
};

use super::link::Link;
use crate::config::{Arrangement, Redis};

/// Connects. What the servers say of their own accord goes to `pushes`. Without bound in time: that is the caller's.
pub(super) async fn connect(redis: &Redis, pushes: impl AsyncPushSender) -> RedisResult<Link> {
    let unbounded = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    match &redis.arrangement {
        Arrangement::Single => {
            let address = redis.servers.first().map(|server| address(redis, server));
            let Some(address) = address else { return Err(nowhere()) };
            let client = client(redis, address)?;
            let unbounded = unbounded.set_push_sender(pushes);
            client.get_multiplexed_async_connection_with_config(&unbounded).await.map(Link::Server)
        }
        Arrangement::Sentinel(master) => {
            let sentinels = redis.servers.iter().map(|server| address(redis, server));
            let mut builder = SentinelClientBuilder::new(sentinels, master, SentinelServerType::Master)?
                .set_client_to_redis_db(redis.database.into())
                .set_client_to_redis_protocol(ProtocolVersion::RESP3);
            if let Some(user) = &redis.user {
                builder = builder.set_client_to_redis_username(user);
            }
            if let Some(password) = password(redis) {
                builder = builder.set_client_to_redis_password(password);
            }
            if redis.tls {
                builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
                builder = builder.set_client_to_sentinel_tls_mode(TlsMode::Secure);
            }
            if let Some(certificates) = certificates(redis) {
                builder = builder.set_client_to_redis_certificates(certificates.clone());
                builder = builder.set_client_to_sentinel_certificates(certificates);
            }
            let unbounded = unbounded.set_push_sender(pushes);
            builder.build()?.get_async_connection_with_config(&unbounded).await.map(Link::Server)
        }
        Arrangement::Cluster => {
            let nodes = redis.servers.iter().map(|server| information(redis, address(redis, server)));
            let nodes = nodes.collect::<RedisResult<Vec<ConnectionInfo>>>()?;
            let mut builder = ClusterClientBuilder::new(nodes)
                .use_protocol(ProtocolVersion::RESP3)
                .connection_timeout(redis.timeout)
                .response_timeout(redis.timeout)
                .push_sender(pushes);
            if let Some(certificates) = certificates(redis) {
                builder = builder.certs(certificates);
            }
            builder.build()?.get_async_connection().await.map(Link::Cluster)
        }
    }
}

fn nowhere() -> redis::RedisError {
    (redis::ErrorKind::InvalidClientConfig, "no server is named").into()
}

fn client(redis: &Redis, address: ConnectionAddr) -> RedisResult<Client> {
    let information = information(redis, address)?;
    match certificates(redis) {
        Some(certificates) => Client::build_with_tls(information, certificates),
        None => Client::open(information),
    }
}

fn information(redis: &Redis, address: ConnectionAddr) -> RedisResult<ConnectionInfo> {
    // A user of the access control list may not be allowed to say what library this is.
    let session = RedisConnectionInfo::default().set_skip_set_lib_name();
    let mut session = session.set_db(redis.database.into()).set_protocol(ProtocolVersion::RESP3);
    if let Some(user) = &redis.user {
        session = session.set_username(user);
    }
    if let Some(password) = password(redis) {
        session = session.set_password(password);
    }
    Ok(address.into_connection_info()?.set_redis_settings(session))
}

fn address(redis: &Redis, (host, port): &(String, u16)) -> ConnectionAddr {
    if redis.tls {
        ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host.clone(), *port)
    }
}

fn password(redis: &Redis) -> Option<std::borrow::Cow<'_, str>> {
    redis.password.as_ref().map(|password| String::from_utf8_lossy(password.expose()))
}

fn certificates(redis: &Redis) -> Option<TlsCertificates> {
    redis.ca.clone().map(|ca| TlsCertificates { client_tls: None, root_cert: Some(ca) })
}
