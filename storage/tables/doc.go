// Package tables is the ground under the state machines of storage: the rows of
// a command in execution, the declaration of each table with what becomes of it
// (see Table), and which part of a machine executes which command.
//
// It never decides what a row or a command means, and reads and writes rows
// only through the transaction or view it is handed.
package tables
