package signal

import (
	"context"
	"fmt"
)

// Project is the boundary of isolation: tokens, retention, quotas and deletion. It is the store's tenant.
// Every write and every query names one.
type Project string

// DefaultProject is the project of data whose sender names none.
const DefaultProject Project = "default"

// maxProjectLen keeps project names usable as folder and label values.
const maxProjectLen = 64

// ParseProject checks a project's name: 1 to 64 characters of a-z, 0-9, '-' and '_', beginning with a letter or digit.
// The empty string is DefaultProject.
func ParseProject(name string) (Project, error) {
	if name == "" {
		return DefaultProject, nil
	}
	if len(name) > maxProjectLen {
		return "", fmt.Errorf("project name of %d characters: at most %d are allowed", len(name), maxProjectLen)
	}
	for i, c := range []byte(name) {
		ok := c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || i > 0 && (c == '-' || c == '_')
		if !ok {
			return "", fmt.Errorf("project name %q: only a-z, 0-9, '-' and '_' are allowed, beginning with a letter or digit", name)
		}
	}
	return Project(name), nil
}

type projectKey struct{}

// WithProject returns a context that carries p from an edge (HTTP header, gRPC metadata) to the handlers behind it.
func WithProject(ctx context.Context, p Project) context.Context {
	return context.WithValue(ctx, projectKey{}, p)
}

// ProjectFrom returns the project of ctx, DefaultProject when it carries none.
func ProjectFrom(ctx context.Context) Project {
	if p, ok := ctx.Value(projectKey{}).(Project); ok {
		return p
	}
	return DefaultProject
}
