package adminapi

import (
	"encoding/json"

	"rookery"
)

// ErrorBody is the answer to a request that failed.
type ErrorBody struct {
	Error string       `json:"error"`
	Kind  rookery.Kind `json:"kind"`
}

// StreamLine is one line of the answer to a long order: events while it runs,
// then one line that says how it ended. A stream without that line was cut off.
type StreamLine struct {
	Event json.RawMessage `json:"event,omitempty"`
	Error *ErrorBody      `json:"error,omitempty"`
	End   bool            `json:"end,omitempty"`
}

// SettingsBody is the settings document with its version, read and written.
type SettingsBody struct {
	Document string `json:"document"`
	Version  uint64 `json:"version"`
	// Orphan names directories that may leave accounts without an owner.
	Orphan []string `json:"orphan,omitempty"`
	// Force writes settings without trying them from every node.
	Force bool `json:"force,omitempty"`
}
