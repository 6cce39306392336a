package keepalive

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// String returns the fields that are not zero in the form that [Options.UnmarshalText]
// accepts, for example "idle=45s,interval=5s,count=3". It returns "on" if all fields are
// zero. It includes negative values, although UnmarshalText does not accept them.
func (o Options) String() string { return string(o.appendText(nil)) }

// AppendText appends the text of String to b. It returns an [*OptionError] if UnmarshalText
// does not accept the text, because a field is negative or a time is as long as
// [NoUserTimeout].
func (o Options) AppendText(b []byte) ([]byte, error) {
	for f := range numFields {
		v, why := o.field(f), ""
		switch {
		case v < 0:
			why = "must not be negative"
		case f < count && v == int64(NoUserTimeout):
			why = "must be shorter"
		default:
			continue
		}
		return b, &OptionError{Option: f.String(), Value: f.value(v), Err: errors.New(why)}
	}
	return o.appendText(b), nil
}

// MarshalText returns the text of String, for [flag.TextVar], JSON, YAML and environment
// variables. It returns the errors of AppendText.
func (o Options) MarshalText() ([]byte, error) { return o.AppendText(nil) }

func (o Options) appendText(b []byte) []byte {
	start := len(b)
	switch {
	case o.Disabled:
		b = append(b, "off"...)
	case o == Options{}:
		b = append(b, "on"...)
	}
	for f := range numFields {
		v := o.field(f)
		if v == 0 {
			continue
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = append(b, keys[f]...)
		b = append(b, '=')
		switch {
		case f.unlimited(v):
			b = append(b, "off"...)
		case f == count:
			b = strconv.AppendInt(b, v, 10)
		default:
			b = append(b, short(time.Duration(v))...)
		}
	}
	return b
}

// keys are the names of the fields in the text form.
var keys = [numFields]string{"idle", "interval", "count", "user-timeout"}

// short returns d as text without the zeros at the end of Duration.String: 1m, not 1m0s.
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

// UnmarshalText sets o to the options in text. On error, it leaves o unchanged. It accepts
// four forms:
//
//   - The form of String: "on", "off", and the fields to set, in any order, for example
//     "idle=45s,interval=5s,count=3,user-timeout=1m". Durations have a unit, as in
//     [time.ParseDuration]. "user-timeout=off" is [NoUserTimeout]. "off,idle=45s" sets the
//     time and leaves keepalive off.
//   - A goal: "detect-within=1m" sets the fields that [DetectWithin] returns on this system,
//     and "keep-open=350s" those of [KeepOpen]. Other fields can be added, for example
//     "keep-open=350s,user-timeout=10m".
//   - nginx's so_keepalive: "45s:5s:3" is idle, interval and count. Any of them can be empty,
//     for example "30m::10". Unlike in nginx, a unit is required and days are not supported.
//     It cannot be combined with other forms.
//   - libpq's names: "keepalives=1", and "keepalives_idle=45", "keepalives_interval=5" and
//     "keepalives_count=3" in seconds, "tcp_user_timeout=60000" in milliseconds. Unlike in
//     libpq, where zero means the system's default, zero leaves the setting unchanged.
//
// Elements are separated by commas or white space. In YAML, quote "on" and "off", because some
// parsers read them as booleans. Except for goals, a text means the same on every system. Use
// [Options.Validate] to check whether this system accepts the values.
func (o *Options) UnmarshalText(text []byte) error {
	parsed, err := host.parse(string(text))
	if err != nil {
		return fmt.Errorf("keepalive: %w", err)
	}
	*o = parsed
	return nil
}

const acceptedForms = `must be "on", "off", settings such as "idle=45s,interval=5s,count=3,user-timeout=1m", "detect-within=1m", "keep-open=350s", or "45s:5s:3"`

func (p *platform) parse(text string) (Options, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Options{}, errors.New("no settings: " + acceptedForms)
	}
	if !strings.Contains(text, "=") && strings.Contains(text, ":") {
		return parseNginx(text)
	}
	var o Options
	var seen [numOpts]bool
	for part := range strings.SplitSeq(text, ",") {
		words := strings.Fields(part)
		if len(words) == 0 {
			return Options{}, errors.New("empty element: " + acceptedForms)
		}
		for _, word := range words {
			set, err := p.parseWord(word)
			if err != nil {
				return Options{}, fmt.Errorf("%s: %w", quote(word), err)
			}
			for _, s := range set {
				if seen[s.field] {
					return Options{}, fmt.Errorf("%s: duplicate setting", quote(word))
				}
				seen[s.field] = true
				o.setField(s.field, s.value)
			}
		}
	}
	return o, nil
}

// setting is a value for a field.
type setting struct {
	field field
	value int64
}

// parseWord parses a word or a pair. A goal has several settings.
func (p *platform) parseWord(word string) ([]setting, error) {
	key, value, pair := strings.Cut(word, "=")
	if !pair {
		switch {
		case key == "on":
			return []setting{{keepAlive, 1}}, nil
		case key == "off":
			return []setting{{keepAlive, 0}}, nil
		case strings.Contains(key, ":"):
			return nil, errors.New("idle:interval:count cannot be combined with other settings")
		}
		return nil, errors.New("unknown word: " + acceptedForms)
	}
	var s setting
	var err error
	switch key {
	case keys[idle], keys[interval], keys[userTimeout]:
		s.field = field(slices.Index(keys[:], key))
		if key == keys[userTimeout] && value == "off" {
			s.value = int64(NoUserTimeout)
			break
		}
		s.value, err = parseDuration(value)
	case keys[count], "keepalives_count":
		s.field = count
		s.value, err = parseInt(value, noUnit)
	case "keepalives_idle":
		s.field = idle
		s.value, err = parseInt(value, time.Second)
	case "keepalives_interval":
		s.field = interval
		s.value, err = parseInt(value, time.Second)
	case "tcp_user_timeout":
		s.field = userTimeout
		s.value, err = parseInt(value, time.Millisecond)
	case "keepalives":
		if value != "0" && value != "1" {
			return nil, errors.New("must be 1 or 0")
		}
		s = setting{keepAlive, int64(value[0] - '0')}
	case "detect-within":
		return parseGoal(value, p.variant().detectWithin)
	case "keep-open":
		return parseGoal(value, p.variant().keepOpen)
	default:
		return nil, errors.New("unknown key: must be idle, interval, count, user-timeout, detect-within or keep-open, or libpq's keepalives, keepalives_idle, keepalives_interval, keepalives_count or tcp_user_timeout")
	}
	return []setting{s}, err
}

func parseGoal(value string, goal func(time.Duration) Options) ([]setting, error) {
	d, err := parseDuration(value)
	if err != nil {
		return nil, err
	}
	if d == 0 {
		return nil, errors.New("must be more than 0")
	}
	o := goal(time.Duration(d))
	var set []setting
	for f := range numFields {
		if v := o.field(f); v != 0 {
			set = append(set, setting{f, v})
		}
	}
	return set, nil
}

func parseDuration(text string) (int64, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && text != "" && strings.Trim(text, "0123456789") == "":
		return 0, fmt.Errorf("missing unit: must be %ss, or have another unit", text[:min(len(text), 20)])
	case err != nil:
		return 0, errors.New("must be a duration such as 45s, 1m30s or 500ms, and at most 290 years")
	case d < 0:
		return 0, errors.New("must not be negative: 0 leaves the setting unchanged")
	case d == NoUserTimeout:
		return 0, errors.New("must be shorter")
	case d == 0 && strings.ContainsAny(text, "123456789"):
		return 0, errors.New("must be at least 1ns")
	}
	return int64(d), nil
}

func parseInt(text string, unit time.Duration) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, errors.New("must be a whole number")
	case strings.HasPrefix(text, "-"):
		return 0, errors.New("must not be negative: 0 leaves the setting unchanged")
	case err != nil, unit == noUnit && n > math.MaxInt, unit != noUnit && n > int64(NoUserTimeout-1)/int64(unit):
		return 0, errors.New("must be smaller")
	}
	return n * int64(unit), nil
}

// parseNginx parses idle:interval:count.
func parseNginx(text string) (Options, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return Options{}, fmt.Errorf("%s: must be idle:interval:count, for example 45s:5s:3 or 30m::10", quote(text))
	}
	var o Options
	for i, part := range parts {
		if part == "" {
			continue
		}
		var v int64
		var err error
		if f := field(i); f == count {
			v, err = parseInt(part, noUnit)
		} else {
			v, err = parseDuration(part)
		}
		if err != nil {
			return Options{}, fmt.Errorf("%s: %w", quote(part), err)
		}
		o.setField(field(i), v)
	}
	if text == "::" {
		return Options{}, fmt.Errorf("%s: no settings: %s", quote(text), acceptedForms)
	}
	return o, nil
}

// quote returns the beginning of a text in quotes, for an error.
func quote(s string) string {
	n := 40
	if len(s) <= n {
		return strconv.Quote(s)
	}
	for n > 36 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strconv.Quote(s[:n]) + "…"
}
