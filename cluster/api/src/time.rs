//! UTC as text: RFC 3339 with milliseconds.

use holdfast_model::UtcMillis;

const MS_PER_DAY: i64 = 86_400_000;

/// The text of a moment, such as `2026-11-24T13:05:00.250Z`. Years beyond four digits are written in full.
#[must_use]
pub fn rfc3339(at: UtcMillis) -> String {
    let (days, in_day) = (at.0.div_euclid(MS_PER_DAY), at.0.rem_euclid(MS_PER_DAY));
    let (year, month, day) = civil(days);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, milli) = (in_day / 1000 % 60, in_day % 1000);
    if !(0..=9999).contains(&year) {
        return format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z");
    }
    // Every answer has one or more of these, and the formatter takes longer than all else here.
    let mut text = String::with_capacity("2026-11-24T13:05:00.250Z".len());
    let parts =
        [(year, 4, '-'), (month, 2, '-'), (day, 2, 'T'), (hour, 2, ':'), (minute, 2, ':'), (second, 2, '.')];
    for (number, digits, after) in parts.into_iter().chain([(milli, 3, 'Z')]) {
        push_digits(&mut text, number, digits);
        text.push(after);
    }
    text
}

/// The last `digits` digits of a number that is not negative.
fn push_digits(text: &mut String, number: i64, digits: u32) {
    for place in (0..digits).rev() {
        let digit = u8::try_from(number / 10_i64.pow(place) % 10).unwrap_or_default();
        text.push(char::from(b'0' + digit));
    }
}

/// The moment of a text that [`rfc3339`] wrote, or of any in UTC that RFC 3339 allows; none when it is not one.
#[must_use]
pub fn parse(text: &str) -> Option<UtcMillis> {
    let text = text.strip_suffix(['Z', 'z'])?;
    let (date, clock) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut clock = clock.splitn(3, ':').map(str::parse::<i64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let milli = format!("{fraction:0<3}").get(..3)?.parse::<i64>().ok()?;
    let in_range = (0..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !in_range || civil(days(year, month, day)) != (year, month, day) {
        return None;
    }
    let in_day = hour * 3_600_000 + minute * 60_000 + second * 1000 + milli;
    Some(UtcMillis(days(year, month, day) * MS_PER_DAY + in_day))
}

/// Year, month and day of a number of days since 1970-01-01, in the proleptic Gregorian calendar. Counts years from
/// March, so that the leap day comes last.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The number of days since 1970-01-01 of a date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_and_read_back() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_513_468_828_000, "2017-12-17T00:00:28.000Z"),
            (1_795_525_500_250, "2026-11-24T13:05:00.250Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(UtcMillis(ms)), text);
            assert_eq!(parse(text), Some(UtcMillis(ms)));
        }
        assert_eq!(parse("2017-12-17T00:00:28Z"), Some(UtcMillis(1_513_468_828_000)));
        for bad in [
            "",
            "2017-12-17",
            "2017-02-30T00:00:00Z",
            "2017-12-17T24:00:00Z",
            "2017-12-17T00:00:00+01:00",
            "x",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
