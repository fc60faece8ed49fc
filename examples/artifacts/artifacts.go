// Package artifacts opens the place where a team keeps its artifacts by its address: a folder, or a bucket at whoever speaks
// S3.
package artifacts

import (
	"context"
	"fmt"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob" // file:///var/lib/team/artifacts?metadata=json
	_ "gocloud.dev/blob/s3blob"   // s3://bucket?region=eu-central-1

	"github.com/mindscope/mindscope/sdk/artifact"
)

// Open opens a store by the address of its bucket, as gocloud.dev has them. uri is what artifacts are said to lie under.
// Close the bucket in the end.
func Open(ctx context.Context, address, uri string) (*artifact.Store, *blob.Bucket, error) {
	bucket, err := blob.OpenBucket(ctx, address)
	if err != nil {
		return nil, nil, fmt.Errorf("open bucket %s: %w", address, err)
	}
	return artifact.New(bucket, uri), bucket, nil
}
