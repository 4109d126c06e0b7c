// Package examples holds the tests that build what docs/ shows together with
// the tree. It owns no product code and is imported by nothing.
package examples
