package client

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// Names in a backup.
const (
	manifestFile  = "backup.json"
	deletionsFile = "deletions.jsonl"
)

// Backup copies the server's store into dir, which must be missing or empty. It returns the number of files and bytes.
func (c *Client) Backup(ctx context.Context, dir string) (files int, bytes int64, err error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return 0, 0, fmt.Errorf("%s is not empty: back up into a new folder", dir)
	}
	resp, err := c.send(ctx, http.MethodPost, "/backups", nil, strings.NewReader("{}"))
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	whole := false
	for r := tar.NewReader(resp.Body); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return files, bytes, fmt.Errorf("read the backup: %w", err)
		}
		if !filepath.IsLocal(h.Name) {
			return files, bytes, fmt.Errorf("read the backup: it names %q, outside of its folder", h.Name)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o750); err != nil {
				return files, bytes, err
			}
			continue
		}
		n, err := writeEntry(path, r)
		if err != nil {
			return files, bytes, err
		}
		files, bytes, whole = files+1, bytes+n, h.Name == manifestFile
	}
	if !whole {
		return files, bytes, errors.New("the backup broke off: the server's log says why")
	}
	return files, bytes, nil
}

// writeEntry writes one file; it is on disk when it returns.
func writeEntry(path string, r io.Reader) (int64, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return 0, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, r)
	return n, errors.Join(err, f.Sync(), f.Close())
}

// Deletions brings the record of deletions in a backup up to date.
func (c *Client) Deletions(ctx context.Context, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, manifestFile)); err != nil {
		return fmt.Errorf("%s is no whole backup: %w", dir, err)
	}
	resp, err := c.send(ctx, http.MethodPost, "/backups/deletions", nil, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if resp.Trailer.Get(exportTrailer) == "" {
		return errors.New("the record of deletions broke off: the server's log says why")
	}
	path := filepath.Join(dir, deletionsFile)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
