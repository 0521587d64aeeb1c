package codec

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"
	"time"
)

var timeType = reflect.TypeFor[time.Time]()

// A time in UTC is encoded as the array of its seconds and nanoseconds. Any other time also has its
// zone: the kind of the zone, the name of the location, and the zone's name and offset from UTC in
// seconds at that time. If the receiver has no location of that name, or a location with different
// rules, the time gets a fixed zone with the zone's name and offset.
const (
	zoneFixed = iota
	zoneNamed
	zoneLocal
)

// AppendTime appends the encoding of t, without a monotonic clock reading.
func AppendTime(buf []byte, t time.Time) ([]byte, error) {
	l := t.Location()
	if l == time.UTC {
		buf = appendHead(buf, majorArray, 2)
		return appendHead(appendInt(buf, t.Unix()), majorUint, uint64(t.Nanosecond())), nil
	}

	zone, offset := t.Zone()
	if offset < math.MinInt32 || offset > math.MaxInt32 {
		return buf, fmt.Errorf("a time in a zone %d seconds from UTC", offset)
	}

	buf = appendHead(buf, majorArray, 6)
	buf = appendHead(appendInt(buf, t.Unix()), majorUint, uint64(t.Nanosecond()))
	buf = appendHead(buf, majorUint, zoneKind(t, l, zone))
	for _, s := range []string{l.String(), zone} {
		buf = append(appendHead(buf, majorText, uint64(len(s))), s...)
	}
	return appendInt(buf, int64(offset)), nil
}

func zoneKind(t time.Time, l *time.Location, zone string) uint64 {
	if l == time.Local {
		return zoneLocal
	}
	if from, to := t.ZoneBounds(); from.IsZero() && to.IsZero() && zone == l.String() {
		return zoneFixed
	}
	return zoneNamed
}

// DecodeTime decodes the output of AppendTime.
func DecodeTime(data []byte) (time.Time, error) {
	r := reader{data: data}
	t, err := r.time()
	if err == nil && len(r.data) > 0 {
		err = fmt.Errorf("%d bytes behind a time", len(r.data))
	}
	return t, err
}

func appendTimeValue(buf []byte, v reflect.Value, _ int) ([]byte, error) {
	return AppendTime(buf, v.Interface().(time.Time))
}

func decodeTimeValue(r *reader, v reflect.Value) error {
	t, err := r.time()
	if err == nil {
		v.Set(reflect.ValueOf(t))
	}
	return err
}

var errNoTime = errors.New("no time")

func (r *reader) time() (t time.Time, err error) {
	parts, err := r.expect(majorArray)
	if err != nil || parts != 2 && parts != 6 {
		return t, errors.Join(errNoTime, err)
	}

	sec, err := r.int()
	if err != nil {
		return t, err
	}
	nsec, err := r.expect(majorUint)
	if err != nil || nsec >= 1e9 {
		return t, errors.Join(errNoTime, err)
	}

	t = time.Unix(sec, int64(nsec)).UTC()
	if parts == 2 {
		return t, nil
	}
	return r.zoned(t)
}

// zoned reads the zone of a time and returns the time in that zone.
func (r *reader) zoned(t time.Time) (time.Time, error) {
	kind, err := r.expect(majorUint)
	if err != nil {
		return t, err
	}
	location, err := r.string(majorText)
	if err != nil {
		return t, err
	}
	zone, err := r.string(majorText)
	if err != nil {
		return t, err
	}

	offset, err := r.int()
	if err != nil || kind > zoneLocal || offset < math.MinInt32 || offset > math.MaxInt32 {
		return t, errors.Join(errNoTime, err)
	}

	return inZone(t, kind, string(location), string(zone), int(offset)), nil
}

func inZone(t time.Time, kind uint64, location, zone string, offset int) time.Time {
	try := func(l *time.Location) bool {
		if l == nil {
			return false
		}
		z, o := t.In(l).Zone()
		return z == zone && o == offset
	}

	local := kind == zoneLocal && try(time.Local)
	if local && time.Local.String() == location {
		return t.In(time.Local)
	}

	if kind != zoneFixed {
		if l := zones.named(location); try(l) {
			return t.In(l)
		}
	}

	if local {
		return t.In(time.Local)
	}
	return t.In(zones.fixed(zone, offset))
}

// zones caches the locations of times that have arrived. Times in the same zone are then also equal
// by ==, for example as map keys.
var zones zoneCache

type zoneCache struct {
	mu      sync.RWMutex
	byName  map[string]*time.Location // nil values: there is no such location
	byShift map[shift]*time.Location
}

type shift struct {
	name   string
	offset int
}

// Limits on what other processes can make this process keep. There are about 600 names of
// locations.
const (
	maxZones    = 2048
	maxZoneName = 128
)

func (c *zoneCache) named(name string) *time.Location {
	if name == "" || name == "Local" || len(name) > maxZoneName {
		return nil
	}
	return cachedZone(c, &c.byName, name, func() *time.Location {
		l, err := time.LoadLocation(name)
		if err != nil {
			return nil
		}
		return l
	})
}

func (c *zoneCache) fixed(name string, offset int) *time.Location {
	if len(name) > maxZoneName {
		return time.FixedZone(name, offset)
	}
	return cachedZone(c, &c.byShift, shift{name, offset}, func() *time.Location { return time.FixedZone(name, offset) })
}

func cachedZone[K comparable](c *zoneCache, m *map[K]*time.Location, key K, load func() *time.Location) *time.Location {
	c.mu.RLock()
	l, ok := (*m)[key]
	c.mu.RUnlock()
	if ok {
		return l
	}

	l = load()
	c.mu.Lock()
	defer c.mu.Unlock()
	if first, ok := (*m)[key]; ok {
		return first
	}

	if *m == nil {
		*m = map[K]*time.Location{}
	}
	if len(*m) < maxZones {
		(*m)[key] = l
	}
	return l
}

// isTimeShell reports whether t is a struct whose only field is an embedded time.Time, so that it
// has time.Time's form. That form has no room for a location, so t is encoded like any other
// struct.
func isTimeShell(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t.NumField() != 1 || !t.Field(0).Anonymous {
		return false
	}
	e := t.Field(0).Type
	return (e == timeType || isTimeShell(e)) && formFrom(t, e)
}
