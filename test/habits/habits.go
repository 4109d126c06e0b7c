// Package habits holds the tests that keep the tree's habits: which package
// may import which and why, a doc on every package, files that stay short. It
// owns no product code and is imported by nothing.
package habits
