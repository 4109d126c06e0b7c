//go:build race

package imap

// raceDetector makes memory larger and is not measured.
const raceDetector = true
