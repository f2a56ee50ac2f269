const secondsADay = 86_400;
const daysOf400Years = 146_097;
/** Days from 0000-03-01 to 1970-01-01 in the proleptic Gregorian calendar. */
const daysToEpoch = 719_468;

/**
 * `2006-01-02T15:04:05.123456789Z`: RFC 3339 in UTC, always nine digits of the second, as the kubelet parses it.
 * Worked out here because strftime(3) opens /etc/localtime.
 */
export function rfc3339(seconds: number, nanoseconds: number): string {
  const days = Math.floor(seconds / secondsADay);
  const ofDay = seconds - days * secondsADay;
  const hour = Math.floor(ofDay / 3600);
  const minute = Math.floor(ofDay / 60) - hour * 60;
  const time = `${two(hour)}:${two(minute)}:${two(ofDay % 60)}`;
  return `${civilDate(days)}T${time}.${(1e9 + nanoseconds).toFixed(0).substring(1)}Z`;
}

/**
 * The date so many days after the epoch, by counting years from March, so that the leap day is a year's last.
 *
 * @see https://howardhinnant.github.io/date_algorithms.html#civil_from_days
 */
function civilDate(days: number): string {
  const shifted = days + daysToEpoch;
  const era = Math.floor(shifted / daysOf400Years);
  const ofEra = shifted - era * daysOf400Years;
  const yearOfEra = Math.floor(
    (ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) / 365,
  );
  const ofYear = ofEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * ofYear + 2) / 153);
  const day = ofYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return `${(10_000 + year).toFixed(0).substring(1)}-${two(month)}-${two(day)}`;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : `${value}`;
}
