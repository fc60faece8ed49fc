package store

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/xpdata/entity"
)

// fieldEntityRefs holds a resource's references to entities as
// [{"type":…,"schema_url":…,"id":[keys],"description":[keys]}]; empty members are left out.
const fieldEntityRefs = "resource.entity_refs"

func addEntityRefs(fields []Field, res pcommon.Resource) []Field {
	refs := entity.ResourceEntityRefs(res)
	if refs.Len() == 0 {
		return fields
	}
	list := pcommon.NewValueSlice()
	for _, ref := range refs.All() {
		m := list.Slice().AppendEmpty().SetEmptyMap()
		if ref.Type() != "" {
			m.PutStr("type", ref.Type())
		}
		if ref.SchemaUrl() != "" {
			m.PutStr("schema_url", ref.SchemaUrl())
		}
		putKeys(m, "id", ref.IdKeys())
		putKeys(m, "description", ref.DescriptionKeys())
	}
	return append(fields, Field{fieldEntityRefs, SliceJSON(EncodeAny(list))})
}

func putKeys(m pcommon.Map, name string, keys pcommon.StringSlice) {
	if keys.Len() == 0 {
		return
	}
	list := m.PutEmptySlice(name)
	for _, k := range keys.All() {
		list.AppendEmpty().SetStr(k)
	}
}

func toEntityRefs(r *Row, res pcommon.Resource) error {
	items, err := listOf(r, fieldEntityRefs)
	if err != nil {
		return fmt.Errorf("restore resource: %w", err)
	}
	for _, m := range items {
		ref := entity.ResourceEntityRefs(res).AppendEmpty()
		ref.SetType(memberText(m, "type"))
		ref.SetSchemaUrl(memberText(m, "schema_url"))
		takeKeys(m, "id", ref.IdKeys())
		takeKeys(m, "description", ref.DescriptionKeys())
	}
	return nil
}

func takeKeys(m pcommon.Map, name string, keys pcommon.StringSlice) {
	v, ok := m.Get(name)
	if !ok || v.Type() != pcommon.ValueTypeSlice {
		return
	}
	for _, k := range v.Slice().All() {
		keys.Append(k.Str())
	}
}
