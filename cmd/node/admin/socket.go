package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"

	"rookery"
)

// adminGroup is the Unix group whose members may administer a node.
const adminGroup = "rookery"

// Listen opens the socket in the place of one that a killed process left.
func Listen(ctx context.Context, path string) (net.Listener, error) {
	// The socket that a killed process left would refuse the bind; the lock on
	// the data directory says that no other process serves it.
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return nil, rookery.E("replace socket", rookery.KindExists,
			fmt.Errorf("%s is no socket; name another path with admin in the node file", path))
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w; the path must be at most about 100 bytes: set admin in the node file to a shorter one", err)
	}
	if err := shareSocket(path, adminGroup); err != nil {
		ln.Close()
		return nil, rookery.E("open administration socket", rookery.KindDenied, err)
	}
	return ln, nil
}

// shareSocket gives a socket to the members of a group, where there is such a
// group and this user may hand files to it; else it is its owner's alone. Root
// may always connect.
func shareSocket(path, group string) error {
	mode := os.FileMode(0o600)
	if g, err := user.LookupGroup(group); err == nil {
		gid, err := strconv.Atoi(g.Gid)
		if err == nil && os.Chown(path, -1, gid) == nil {
			mode = 0o660
		}
	}
	return os.Chmod(path, mode)
}
