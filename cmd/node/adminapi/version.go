package adminapi

import (
	"runtime/debug"
)

// BinaryVersion is the version this binary was built as.
func BinaryVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}
