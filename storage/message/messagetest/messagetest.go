// Package messagetest makes messages for tests: one as people send it, and those
// that break or slow down what reads them.
//
// It uses nothing of what it tests.
package messagetest
