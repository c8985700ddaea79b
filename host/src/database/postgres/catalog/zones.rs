//! Time zones by their names, as the server knows them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bindings::types::Conversion;
use crate::database::DatabaseError;
use crate::database::postgres::codec::fitting::Policy;
use crate::database::postgres::codec::parse::Rules;
use crate::database::postgres::codec::parse::zone::{MAX_NAME, Offsets, Zone};
use crate::database::postgres::connection::{Session, column, query};

/// A zone of this name, whatever the case. A name that is none of these may be a rule with a sign that is the wrong way
/// round.
const KNOWN: &str = "\
    SELECT name FROM pg_catalog.pg_timezone_names WHERE pg_catalog.lower(name) = pg_catalog.lower($1) LIMIT 1";

/// The moments since 1970 from which an offset holds, both in seconds. A day whose offset differs from that of the day
/// before is halved until the second is found.
const OFFSETS: &str = "\
    WITH RECURSIVE days AS MATERIALIZED ( \
      SELECT g.at, o.seconds, pg_catalog.lag(o.seconds) OVER (ORDER BY g.at) AS before \
      FROM pg_catalog.generate_series((-5364662400)::int8, 7258118400::int8, 86400::int8) AS g(at), \
      LATERAL (SELECT pg_catalog.date_part('epoch', pg_catalog.timezone($1, pg_catalog.to_timestamp(g.at::float8)))::int8 - g.at) AS o(seconds) \
    ), search AS ( \
      SELECT at - 86400 AS low, at AS high, before FROM days WHERE seconds <> before \
      UNION ALL \
      SELECT CASE WHEN o.seconds = before THEN m.middle ELSE low END, \
             CASE WHEN o.seconds = before THEN high ELSE m.middle END, before \
      FROM search, LATERAL (SELECT low + (high - low) / 2) AS m(middle), \
      LATERAL (SELECT pg_catalog.date_part('epoch', pg_catalog.timezone($1, pg_catalog.to_timestamp(m.middle::float8)))::int8 - m.middle) AS o(seconds) \
      WHERE high - low > 1 \
    ) \
    SELECT at, seconds FROM days WHERE before IS NULL \
    UNION ALL \
    SELECT high, pg_catalog.date_part('epoch', pg_catalog.timezone($1, pg_catalog.to_timestamp(high::float8)))::int8 - high \
    FROM search WHERE high - low = 1 \
    ORDER BY 1";

/// 2200-01-01 in seconds since 1970, where [`OFFSETS`] ends.
const END: i64 = 7_258_118_400;

/// 2000-01-01 in seconds since 1970.
const SINCE_1970: i64 = 946_684_800;

/// The most zones that are kept.
const MAX_KNOWN: usize = 64;

/// Zones that a server was asked for.
#[derive(Debug, Default)]
pub(in crate::database::postgres) struct KnownZones(Mutex<BTreeMap<String, Zone>>);

impl KnownZones {
    fn get(&self, name: &str) -> Option<Zone> {
        self.lock().get(name).cloned()
    }

    fn keep(&self, name: &str, zone: Zone) -> Zone {
        let mut known = self.lock();
        if known.len() < MAX_KNOWN {
            known.insert(name.to_owned(), zone.clone());
        }
        zone
    }

    /// The map is changed by single calls, so a poisoned lock still guards a whole map.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Zone>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The zones that the policies of a table name, by their names.
#[derive(Clone, Debug, Default)]
pub(in crate::database::postgres) struct Zones(BTreeMap<String, Zone>);

impl Zones {
    /// Finds the zones that these policies name. Fails with [`DatabaseError::NoSuchZone`] if the server does not know one.
    pub async fn find(
        session: &mut Session,
        known: &KnownZones,
        policies: &[(String, Conversion)],
    ) -> Result<Self, DatabaseError> {
        let mut zones = BTreeMap::new();
        for (_, policy) in policies {
            if let Conversion::Parse(rules) = policy
                && let Some(name) = &rules.time_zone
                && !zones.contains_key(name)
            {
                let zone = match known.get(name) {
                    Some(zone) => zone,
                    None => known.keep(name, find(session, name).await?),
                };
                zones.insert(name.clone(), zone);
            }
        }
        Ok(Self(zones))
    }

    /// Returns a policy with its zone.
    pub fn policy(&self, policy: &Conversion) -> Policy {
        match policy {
            Conversion::Parse(rules) => Policy::Parse(Rules {
                zone: rules
                    .time_zone
                    .as_ref()
                    .and_then(|name| self.0.get(name).cloned()),
                epoch: rules.epoch.clone(),
            }),
            Conversion::Lossy => Policy::Lossy,
            Conversion::Exact | Conversion::Widen | Conversion::Other(_) => Policy::Exact,
        }
    }
}

async fn find(session: &mut Session, name: &str) -> Result<Zone, DatabaseError> {
    if let Some(fixed) = Zone::fixed(name) {
        return Ok(fixed);
    }
    let unknown = || DatabaseError::NoSuchZone(name.to_owned());
    if name.len() > MAX_NAME || name.contains('\0') {
        return Err(unknown());
    }
    let known = session.row(query(KNOWN).bind(name.to_owned())).await?;
    let name: String = column(&known.ok_or_else(unknown)?, "name")?;
    let mut from = Vec::new();
    for row in session.rows(query(OFFSETS).bind(name)).await? {
        let (at, seconds): (i64, i64) = (column(&row, 0)?, column(&row, 1)?);
        from.push((microseconds(at), seconds));
    }
    let end = microseconds(END);
    Ok(Zone::Changing(Arc::new(Offsets { from, end })))
}

fn microseconds(since_1970: i64) -> i64 {
    (since_1970 - SINCE_1970) * 1_000_000
}
