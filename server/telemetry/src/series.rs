//! Series of points: values by period, at four resolutions.
//!
//! Points arrive at ten seconds. Each minute, whole minutes are summed up from them, from those five minutes, from those
//! hours: each resolution up to a mark. A read takes what lies before the mark of its resolution, and the rest from the
//! finer ones; a point that arrives late, before a mark, is added to that resolution at once. So every resolution says
//! the same at every moment, and each forgets in its own time, as the public service does.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use wire::Timestamp;

use crate::metric::{Metric, MetricFilter};
use crate::store::{Store, TelemetryError};
use crate::{Aggregate, Buckets};

/// A resolution.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// The length of its periods.
    seconds: i64,
    /// How long it remembers.
    retention_seconds: i64,
}

const DAY_SECONDS: i64 = 24 * 3600;

/// From fine to coarse; each is a multiple of the one before. The public service keeps them as long.
const LEVELS: [Level; 4] = [
    Level { seconds: 10, retention_seconds: 3 * 3600 },
    Level { seconds: 60, retention_seconds: 15 * DAY_SECONDS },
    Level { seconds: 300, retention_seconds: 63 * DAY_SECONDS },
    Level { seconds: 3600, retention_seconds: 455 * DAY_SECONDS },
];

/// Series in the file. Reason: each costs up to 10 MB over the years, and a client that makes up dimensions must not
/// fill the disk.
const SERIES_MAX: usize = 20_000;

/// Points of one read. Reason: the public service's limit of a page; a longer range wants a coarser period.
pub const READ_POINTS_MAX: usize = 100_800;

/// Points of a period that is still open are not summed up before. Reason: what is drained at the end of a period
/// arrives a moment after it.
const ROLL_UP_LAG_SECONDS: i64 = 15;

/// The values of one metric at one moment, or of the ten seconds around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Whose.
    pub metric: Metric,
    /// CloudWatch's unit (`Count`, `Microseconds`, `None` …).
    pub unit: String,
    /// When.
    pub time: Timestamp,
    /// The values.
    pub values: Aggregate,
}

/// A period of a metric that is read.
#[derive(Debug, Clone, PartialEq)]
pub struct Period {
    /// Where it begins.
    pub start: Timestamp,
    /// Its values.
    pub values: Aggregate,
    /// Their unit.
    pub unit: String,
}

/// What is read of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// From the period of this moment on.
    pub start: Timestamp,
    /// Before this moment.
    pub end: Timestamp,
    /// The length of a period; periods are aligned to 1970.
    pub period_seconds: u32,
    /// Only values of this unit.
    pub unit: Option<String>,
}

/// All series; see the module's head.
#[derive(Debug, Clone)]
pub struct Series(pub(crate) Arc<Store>);

impl Series {
    /// Adds points to what is there, all or none.
    ///
    /// # Errors
    /// When the file cannot be written, or is full of series.
    pub fn append(&self, points: &[Point], now: Timestamp) -> Result<(), TelemetryError> {
        if points.is_empty() {
            return Ok(());
        }
        let now = seconds(now);
        self.0.write(|connection| {
            let marks = marks(connection)?;
            points.iter().try_for_each(|point| append(connection, point, marks, now))
        })
    }

    /// The periods of `metric` that have values, in order.
    ///
    /// # Errors
    /// When the file cannot be read, or there are too many points.
    pub fn read(&self, metric: &Metric, range: &Range) -> Result<Vec<Period>, TelemetryError> {
        self.read_with(metric, range, &[])
    }

    /// The same as if `newest`, which are not appended yet, were.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_with(
        &self,
        metric: &Metric,
        range: &Range,
        newest: &[Point],
    ) -> Result<Vec<Period>, TelemetryError> {
        let period = i64::from(range.period_seconds.max(1));
        let (start, end) =
            (seconds(range.start), range.end.0.div_euclid(1000) + i64::from(range.end.0 % 1000 != 0));
        let start = start - start.rem_euclid(period);
        // The coarsest whose periods make up the asked one.
        let level = LEVELS.iter().rposition(|level| period % level.seconds == 0).unwrap_or(0);
        let mut periods: BTreeMap<i64, (Aggregate, String)> = BTreeMap::new();
        let mut take = |unit: &str, at: i64, values: &Aggregate| {
            let of = at - at.rem_euclid(period);
            periods.entry(of).or_insert_with(|| (Aggregate::default(), unit.to_owned())).0.merge(values);
        };
        self.0.read(|connection| {
            let marks = marks(connection)?;
            for (id, unit) in ids(connection, metric, range.unit.as_deref())? {
                let mut take = |at: i64, values: &Aggregate| take(&unit, at, values);
                read(connection, id, level, marks, (start, end), &mut take)?;
            }
            Ok(())
        })?;
        for point in newest.iter().filter(|point| point.metric == *metric) {
            let at = seconds(point.time);
            let at = at - at.rem_euclid(LEVELS[0].seconds);
            if (start..end).contains(&at) && range.unit.as_ref().is_none_or(|unit| *unit == point.unit) {
                take(&point.unit, at, &point.values);
            }
        }
        let periods = periods.into_iter().map(|(start, (values, unit))| Period {
            start: Timestamp(start.saturating_mul(1000)),
            values,
            unit,
        });
        Ok(periods.collect())
    }

    #[cfg(test)]
    fn list(
        &self,
        filter: &MetricFilter,
        since: Timestamp,
        after: i64,
        limit: usize,
    ) -> Result<(Vec<Metric>, Option<i64>), TelemetryError> {
        self.list_with(filter, since, after, limit, &[])
    }

    /// The metrics that have values of the last 15 days, in the order in which they were first seen; and where the next
    /// page begins. Those of `newest`, which are not appended yet, that are new end the last page, as far as it has room.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list_with(
        &self,
        filter: &MetricFilter,
        since: Timestamp,
        after: i64,
        limit: usize,
        newest: &[Point],
    ) -> Result<(Vec<Metric>, Option<i64>), TelemetryError> {
        self.0.read(|connection| {
            // One metric in two units is listed once, where it was first seen.
            let mut statement = connection.prepare_cached(
                "SELECT min(id), namespace, name, dimensions FROM series GROUP BY namespace, name, dimensions
                 HAVING min(id) > ?1 AND max(last) >= ?2 ORDER BY min(id)",
            )?;
            let mut rows = statement.query(params![after, seconds(since)])?;
            let (mut found, mut last) = (Vec::new(), after);
            while let Some(row) = rows.next()? {
                let metric = Metric::stored(row.get(1)?, row.get(2)?, &row.get::<_, String>(3)?);
                if !filter.shows(&metric) {
                    continue;
                }
                if found.len() == limit {
                    return Ok((found, Some(last)));
                }
                found.push(metric);
                last = row.get(0)?;
            }
            for Point { metric, .. } in newest.iter().filter(|point| filter.shows(&point.metric)) {
                if found.len() < limit && !found.contains(metric) && !is_listed(connection, metric, since)? {
                    found.push(metric.clone());
                }
            }
            Ok((found, None))
        })
    }

    /// Sums up what is over, and forgets what is old. To be called each minute or so.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn roll_up(&self, now: Timestamp) -> Result<(), TelemetryError> {
        let now = seconds(now);
        self.0.write(|connection| {
            let mut marks = marks(connection)?;
            for level in 1..LEVELS.len() {
                let over = now - ROLL_UP_LAG_SECONDS;
                let until = (over - over.rem_euclid(LEVELS[level].seconds)).min(marks[level - 1]);
                let until = until - until.rem_euclid(LEVELS[level].seconds);
                if until > marks[level] {
                    sum_up(connection, level, marks[level], until)?;
                    marks[level] = until;
                    let mut statement = connection
                        .prepare_cached("INSERT OR REPLACE INTO marks (level, until) VALUES (?1, ?2)")?;
                    statement.execute(params![level as i64, until])?;
                }
            }
            forget(connection, now)
        })
    }
}

/// Whether `metric` has stored values since then.
fn is_listed(connection: &Connection, metric: &Metric, since: Timestamp) -> Result<bool, TelemetryError> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM series WHERE namespace = ?1 AND name = ?2 AND dimensions = ?3 AND last >= ?4",
    )?;
    let keys = params![metric.namespace, metric.name, metric.dimensions_text(), seconds(since)];
    Ok(statement.exists(keys)?)
}

/// Up to where each level is summed up; the finest takes what arrives.
fn marks(connection: &Connection) -> Result<[i64; LEVELS.len()], TelemetryError> {
    let mut marks = [0; LEVELS.len()];
    marks[0] = i64::MAX;
    let mut statement = connection.prepare_cached("SELECT level, until FROM marks")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(mark) = usize::try_from(row.get::<_, i64>(0)?).ok().and_then(|level| marks.get_mut(level))
        {
            *mark = row.get(1)?;
        }
    }
    Ok(marks)
}

fn append(
    connection: &Connection,
    point: &Point,
    marks: [i64; LEVELS.len()],
    now: i64,
) -> Result<(), TelemetryError> {
    let time = seconds(point.time);
    let id = id_of(connection, point, time)?;
    for (number, (level, mark)) in LEVELS.iter().zip(marks).enumerate() {
        let is_kept = time >= now - level.retention_seconds;
        // The finest first keeps what is not summed up yet, however old.
        let is_due = if number == 0 { is_kept || time >= marks[1] } else { is_kept && time < mark };
        if is_due {
            add(connection, id, number, time - time.rem_euclid(level.seconds), &point.values)?;
        }
    }
    Ok(())
}

fn id_of(connection: &Connection, point: &Point, time: i64) -> Result<i64, TelemetryError> {
    let Point { metric, unit, .. } = point;
    let dimensions = metric.dimensions_text();
    let mut statement = connection.prepare_cached(
        "UPDATE series SET last = max(last, ?5)
         WHERE namespace = ?1 AND name = ?2 AND dimensions = ?3 AND unit = ?4 RETURNING id",
    )?;
    let keys = params![metric.namespace, metric.name, dimensions, unit, time];
    if let Some(id) = statement.query_row(keys, |row| row.get(0)).optional()? {
        return Ok(id);
    }
    let held: i64 =
        connection.prepare_cached("SELECT count(*) FROM series")?.query_row([], |row| row.get(0))?;
    if usize::try_from(held).is_ok_and(|held| held >= SERIES_MAX) {
        return Err(TelemetryError::Full { limit: SERIES_MAX, of: "metrics" });
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO series (namespace, name, dimensions, unit, last) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    Ok(statement.insert(params![metric.namespace, metric.name, dimensions, unit, time])?)
}

/// Adds `values` to a stored period.
fn add(
    connection: &Connection,
    id: i64,
    level: usize,
    start: i64,
    values: &Aggregate,
) -> Result<(), TelemetryError> {
    let mut statement = connection.prepare_cached(
        "SELECT count, sum, min, max, buckets FROM points WHERE series = ?1 AND level = ?2 AND start = ?3",
    )?;
    let held = statement.query_row(params![id, level as i64, start], |row| aggregate(row, 0)).optional()?;
    let mut total = held.unwrap_or_default();
    total.merge(values);
    let buckets = (!total.buckets.is_empty() && total.min != total.max).then(|| total.buckets.to_bytes());
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO points (series, level, start, count, sum, min, max, buckets)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let Aggregate { count, sum, min, max, .. } = total;
    statement.execute(params![id, level as i64, start, count, sum, min, max, buckets])?;
    Ok(())
}

/// Buckets are not stored of values that are all the same: most periods of most metrics.
fn aggregate(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Aggregate> {
    let (count, sum): (f64, f64) = (row.get(at)?, row.get(at + 1)?);
    let (min, max): (f64, f64) = (row.get(at + 2)?, row.get(at + 3)?);
    let bytes: Option<Vec<u8>> = row.get(at + 4)?;
    let mut buckets = bytes.and_then(|bytes| Buckets::from_bytes(&bytes)).unwrap_or_default();
    if min == max {
        buckets.add(min, (count.round() as u64).max(1));
    }
    Ok(Aggregate { count, sum, min, max, buckets })
}

fn ids(
    connection: &Connection,
    metric: &Metric,
    unit: Option<&str>,
) -> Result<Vec<(i64, String)>, TelemetryError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, unit FROM series
         WHERE namespace = ?1 AND name = ?2 AND dimensions = ?3 AND (?4 IS NULL OR unit = ?4) ORDER BY id",
    )?;
    let keys = params![metric.namespace, metric.name, metric.dimensions_text(), unit];
    let found = statement.query_map(keys, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    Ok(found)
}

/// Gives `take` the points of `level` before its mark, and those of the finer ones after it.
fn read(
    connection: &Connection,
    id: i64,
    level: usize,
    marks: [i64; LEVELS.len()],
    (start, end): (i64, i64),
    take: &mut dyn FnMut(i64, &Aggregate),
) -> Result<(), TelemetryError> {
    let mut statement = connection.prepare_cached(
        "SELECT start, count, sum, min, max, buckets FROM points
         WHERE series = ?1 AND level = ?2 AND start >= ?3 AND start < ?4 ORDER BY start LIMIT ?5",
    )?;
    let until = end.min(marks[level]);
    let limit = READ_POINTS_MAX as i64 + 1;
    let mut rows = statement.query(params![id, level as i64, start, until, limit])?;
    let mut found = 0;
    while let Some(row) = rows.next()? {
        found += 1;
        if found > READ_POINTS_MAX {
            return Err(TelemetryError::Full { limit: READ_POINTS_MAX, of: "points of one read" });
        }
        take(row.get(0)?, &aggregate(row, 1)?);
    }
    if end > marks[level] && level > 0 {
        return read(connection, id, level - 1, marks, (start.max(marks[level]), end), take);
    }
    Ok(())
}

/// Sums up the periods of `level` from `start` until `end` from those of the level below.
fn sum_up(connection: &Connection, level: usize, start: i64, end: i64) -> Result<(), TelemetryError> {
    let mut statement = connection.prepare_cached("SELECT id FROM series WHERE last >= ?1")?;
    let all: Vec<i64> = statement.query_map([start], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut statement = connection.prepare_cached(
        "SELECT start, count, sum, min, max, buckets FROM points
         WHERE series = ?1 AND level = ?2 AND start >= ?3 AND start < ?4",
    )?;
    for id in all {
        let mut periods: BTreeMap<i64, Aggregate> = BTreeMap::new();
        let mut rows = statement.query(params![id, level as i64 - 1, start, end])?;
        while let Some(row) = rows.next()? {
            let at: i64 = row.get(0)?;
            periods.entry(at - at.rem_euclid(LEVELS[level].seconds)).or_default().merge(&aggregate(row, 1)?);
        }
        for (at, values) in periods {
            add(connection, id, level, at, &values)?;
        }
    }
    Ok(())
}

fn forget(connection: &Connection, now: i64) -> Result<(), TelemetryError> {
    let mut statement = connection.prepare_cached("SELECT id FROM series")?;
    let all: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut statement =
        connection.prepare_cached("DELETE FROM points WHERE series = ?1 AND level = ?2 AND start < ?3")?;
    for id in all {
        for (number, level) in LEVELS.iter().enumerate() {
            statement.execute(params![id, number as i64, now - level.retention_seconds])?;
        }
    }
    let oldest = now - LEVELS[LEVELS.len() - 1].retention_seconds;
    connection.prepare_cached("DELETE FROM series WHERE last < ?1")?.execute([oldest])?;
    Ok(())
}

fn seconds(moment: Timestamp) -> i64 {
    moment.0.div_euclid(1000)
}

#[cfg(test)]
mod tests;
