package harness

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

// SmallDisk mounts a disk of so many bytes in memory at a folder, until the test ends. Without the right to mount the test is
// skipped, in CI it fails: nothing else shows what a full disk does.
func SmallDisk(t testing.TB, dir string, size int64) {
	t.Helper()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
	if NoMount(t, err) {
		t.Skip("this test mounts a tmpfs: run it as root, or with CAP_SYS_ADMIN")
	}
	if err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		for syscall.Unmount(dir, syscall.MNT_DETACH) == nil { // a view over it, too
		}
	})
}

// NoMount tells whether a mount has failed for want of the right to it. In CI that fails the test.
func NoMount(t testing.TB, err error) bool {
	t.Helper()
	if !errors.Is(err, syscall.EPERM) {
		return false
	}
	if os.Getenv("CI") != "" {
		t.Fatal("this test mounts a tmpfs: CI must run it as root, or with CAP_SYS_ADMIN")
	}
	return true
}
