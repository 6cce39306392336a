package keepalive

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// String returns o in the form that [Options.UnmarshalText] reads, with the
// fields that are not zero; "on" when all are. It shows values, too, that cannot
// be read back, because they are negative.
func (o Options) String() string { return string(o.appendText(nil)) }

// AppendText appends String's form to b. It fails for what UnmarshalText would
// not read: a field that is negative, or a time as long as [NoUserTimeout].
func (o Options) AppendText(b []byte) ([]byte, error) {
	for i := range numParams {
		v, why := o.get(i), ""
		switch {
		case v < 0:
			why = "is negative"
		case i < count && v == int64(NoUserTimeout):
			why = "is too long"
		default:
			continue
		}
		return b, &OptionError{Option: i.String(), Value: i.value(v), Err: errors.New(why)}
	}
	return o.appendText(b), nil
}

// MarshalText returns String's form, for [flag.TextVar], JSON, YAML and the
// environment. It fails as AppendText does.
func (o Options) MarshalText() ([]byte, error) { return o.AppendText(nil) }

func (o Options) appendText(b []byte) []byte {
	start := len(b)
	switch {
	case o.Disabled:
		b = append(b, "off"...)
	case o == Options{}:
		b = append(b, "on"...)
	}
	for i := range numParams {
		v := o.get(i)
		if v == 0 {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, keys[i]...)
		b = append(b, '=')
		switch {
		case i.isNone(v):
			b = append(b, "off"...)
		case i == count:
			b = strconv.AppendInt(b, v, 10)
		default:
			b = append(b, short(time.Duration(v))...)
		}
	}
	return b
}

// keys are the names of the fields in text.
var keys = [numParams]string{"idle", "interval", "count", "user-timeout"}

// short is d without the zeros that Duration.String puts at its end: 1m, not
// 1m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// UnmarshalText sets o to what text says, and leaves it as it was when it
// returns an error, which shows the part that is wrong and what is allowed.
// Three forms are read:
//
//   - The one that String writes: "on", "off", and the fields that are to be
//     set, "idle=45s,interval=5s,count=3,user-timeout=1m", in any order.
//     Durations have a unit, as in [time.ParseDuration]; "user-timeout=off" is
//     [NoUserTimeout]. "off,idle=45s" sets the time and leaves keepalive off.
//   - nginx's so_keepalive: "45s:5s:3", idle, interval and count, any of which
//     may be empty: "30m::10". It stands alone. Times have a unit, which nginx
//     lets out for seconds, and its days are not read.
//   - libpq's names, in libpq's units: "keepalives=1", "keepalives_idle=45",
//     "keepalives_interval=5" and "keepalives_count=3" in seconds,
//     "tcp_user_timeout=60000" in milliseconds. Zero is the system's default
//     there, and here it leaves the setting alone.
//
// Between parts stands a comma, or white space, as between libpq's. In YAML,
// quote "on" and "off": some readers make them booleans. Whether this system
// takes the values is for [Options.Validate] to say, so that a text means the
// same everywhere.
func (o *Options) UnmarshalText(text []byte) error {
	parsed, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("keepalive: %w", err)
	}
	*o = parsed
	return nil
}

const allowed = `want "on", "off", "idle=45s,interval=5s,count=3,user-timeout=1m" or a part of it, or "45s:5s:3"`

const space = " \t\r\n"

func parse(text string) (Options, error) {
	text = strings.Trim(text, space)
	if text == "" {
		return Options{}, errors.New("empty setting: " + allowed)
	}
	if !strings.Contains(text, "=") && strings.Contains(text, ":") {
		return parseNginx(text)
	}
	var o Options
	var seen [numParams + 1]bool // the last one is on or off
	rest, more := text, true
	for more {
		var part string
		if i := strings.IndexAny(rest, ","+space); i < 0 {
			part, more = rest, false
		} else {
			part = rest[:i]
			comma := rest[i] == ','
			rest = strings.TrimLeft(rest[i+1:], space)
			if !comma && strings.HasPrefix(rest, ",") { // space before a comma
				rest = strings.TrimLeft(rest[1:], space)
			}
		}
		which, v, err := parsePart(part)
		if err != nil {
			return Options{}, err
		}
		if seen[which] {
			return Options{}, fmt.Errorf("%s: said twice", quote(part))
		}
		seen[which] = true
		if which == numParams {
			o.Disabled = v == 0
		} else {
			o.set(which, v)
		}
	}
	return o, nil
}

// parsePart reads one word or pair. The switch is numParams, 1 for on.
func parsePart(part string) (which param, v int64, err error) {
	key, value, pair := strings.Cut(part, "=")
	if !pair {
		switch key {
		case "on":
			return numParams, 1, nil
		case "off":
			return numParams, 0, nil
		case "":
			return 0, 0, errors.New("a part is empty: " + allowed)
		}
		if strings.Contains(key, ":") {
			return 0, 0, fmt.Errorf("%s: idle:interval:count stands alone", quote(part))
		}
		switch key {
		case keys[idle], keys[interval], keys[count], keys[userTimeout]:
			return 0, 0, fmt.Errorf("%s: has no value: want %s=VALUE", quote(part), key)
		}
		return 0, 0, fmt.Errorf("%s: unknown word: %s", quote(part), allowed)
	}
	switch key {
	case keys[idle]:
		which, v, err = duration(part, value, idle)
	case keys[interval]:
		which, v, err = duration(part, value, interval)
	case keys[userTimeout]:
		if value == "off" {
			return userTimeout, int64(NoUserTimeout), nil
		}
		which, v, err = duration(part, value, userTimeout)
	case keys[count], "keepalives_count":
		which, v, err = integer(part, value, count, number)
	case "keepalives_idle":
		which, v, err = integer(part, value, idle, time.Second)
	case "keepalives_interval":
		which, v, err = integer(part, value, interval, time.Second)
	case "tcp_user_timeout":
		which, v, err = integer(part, value, userTimeout, time.Millisecond)
	case "keepalives":
		if value != "0" && value != "1" {
			return 0, 0, fmt.Errorf("%s: want 1 or 0", quote(part))
		}
		return numParams, int64(value[0] - '0'), nil
	default:
		return 0, 0, fmt.Errorf("%s: unknown key: want idle, interval, count or user-timeout, or libpq's keepalives, keepalives_idle, keepalives_interval, keepalives_count or tcp_user_timeout", quote(part))
	}
	return which, v, err
}

func duration(part, value string, which param) (param, int64, error) {
	d, err := time.ParseDuration(value)
	switch {
	case err != nil && isDigits(value):
		return 0, 0, fmt.Errorf("%s: the time has no unit: want %ss, or another unit", quote(part), value[:min(len(value), 20)])
	case err != nil:
		return 0, 0, fmt.Errorf("%s: want a time such as 45s, 1m30s or 500ms, no more than 290 years", quote(part))
	case d < 0:
		return 0, 0, fmt.Errorf("%s: is negative: zero leaves the setting alone", quote(part))
	case d == NoUserTimeout:
		return 0, 0, fmt.Errorf("%s: is too long", quote(part))
	case d == 0 && strings.ContainsAny(value, "123456789"):
		return 0, 0, fmt.Errorf("%s: is less than a nanosecond", quote(part))
	}
	return which, int64(d), nil
}

func integer(part, value string, which param, unit time.Duration) (param, int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, 0, fmt.Errorf("%s: want a whole number", quote(part))
	case strings.HasPrefix(value, "-"):
		return 0, 0, fmt.Errorf("%s: is negative: zero leaves the setting alone", quote(part))
	case err != nil, unit == number && n > math.MaxInt, unit != number && n > int64(NoUserTimeout-1)/int64(unit):
		return 0, 0, fmt.Errorf("%s: is too large", quote(part))
	}
	return which, n * int64(unit), nil
}

// parseNginx reads idle:interval:count.
func parseNginx(text string) (Options, error) {
	var parts [3]string
	first, rest, _ := strings.Cut(text, ":")
	second, third, ok := strings.Cut(rest, ":")
	if !ok || strings.Contains(third, ":") {
		return Options{}, fmt.Errorf("%s: want two colons, idle:interval:count, such as 45s:5s:3 or 30m::10", quote(text))
	}
	parts = [3]string{first, second, third}
	var o Options
	for i, value := range parts {
		if value == "" {
			continue
		}
		which, v, err := param(i), int64(0), error(nil)
		if which == count {
			_, v, err = integer(value, value, which, number)
		} else {
			_, v, err = duration(value, value, which)
		}
		if err != nil {
			return Options{}, err
		}
		o.set(which, v)
	}
	if first+second+third == "" {
		return Options{}, fmt.Errorf("%s: says nothing: %s", quote(text), allowed)
	}
	return o, nil
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// quote shows the part of a text that is wrong, or the beginning of it.
func quote(s string) string {
	most := 40
	if len(s) <= most {
		return strconv.Quote(s)
	}
	for most > 36 && !utf8.RuneStart(s[most]) {
		most--
	}
	return strconv.Quote(s[:most]) + "…"
}
