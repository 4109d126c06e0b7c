// Package tables is the ground under the state machines of storage: what a
// machine's tables are, and which part of it executes which command.
//
// It never decides what a row or a command means, and reads and writes rows
// only through the transaction or view it is handed.
package tables
