//go:build !chaos

package consensus

// seam lets tests change what a transport says; the product has none.
func seam(t Transport) Transport { return t }

// byLibrary is false: the library's barrier confirms deposed leaders.
const byLibrary = false
