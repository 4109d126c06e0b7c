package settings

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"rookery"
)

// Days is a number of days. A document may also have it as a text with a unit,
// like "14d" or "336h", as long as it is whole days; it is always written as a
// number, which every version reads.
type Days int

const day = 24 * time.Hour

// UnmarshalText reads days with a unit, or a bare number.
func (d *Days) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(string(text)), "d"))
	if err != nil {
		var span time.Duration
		if span, err = time.ParseDuration(string(text)); err == nil && span%day != 0 {
			err = rookery.E("read days", rookery.KindInvalid, fmt.Errorf("%s is no whole day", span))
		}
		n = int(span / day)
	}
	if err != nil {
		return rookery.E("read days", rookery.KindInvalid, fmt.Errorf("%q is no number of whole days; write it like 14, 14d or 336h", text))
	}
	*d = Days(n)
	return nil
}
