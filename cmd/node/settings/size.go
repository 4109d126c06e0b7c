package settings

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"rookery"
)

// sizeUnits are the units of a size, in bytes.
var sizeUnits = map[string]float64{
	"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
}

// Size is a number of bytes. A document may also have it as a text with a unit,
// like "50MB" or "1.5GiB"; it is always written as a number, which every version
// reads.
type Size int64

// UnmarshalText reads a size with a unit, or a bare number.
func (s *Size) UnmarshalText(text []byte) error {
	clean := strings.ReplaceAll(string(text), " ", "")
	digits := strings.TrimRight(strings.ToUpper(clean), "BKMGTI")
	unit := strings.ToUpper(clean)[len(digits):]
	if unit == "" {
		unit = "B"
	}
	n, err := strconv.ParseFloat(digits, 64)
	bytes := n * sizeUnits[unit]
	if err != nil || sizeUnits[unit] == 0 || bytes < 0 || bytes > 1<<60 || bytes != math.Trunc(bytes) {
		return rookery.E("read size", rookery.KindInvalid, fmt.Errorf("%q is no size; write it like 50MB, 50MiB or 52428800", text))
	}
	*s = Size(bytes)
	return nil
}
