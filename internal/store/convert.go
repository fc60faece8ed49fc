package store

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/mindscope/mindscope/internal/conv"
)

// unknownService stands in the service column of senders that name none, as the conventions ask.
const unknownService = "unknown_service"

// fromAny turns an OTLP value into a Value. Text and bytes are shared, not copied.
func fromAny(v pcommon.Value) Value {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return String(v.Str())
	case pcommon.ValueTypeInt:
		return Int(v.Int())
	case pcommon.ValueTypeBool:
		return Bool(v.Bool())
	case pcommon.ValueTypeDouble:
		return Double(v.Double())
	case pcommon.ValueTypeBytes:
		return Bytes(string(v.Bytes().AsRaw()))
	case pcommon.ValueTypeSlice:
		return SliceJSON(EncodeAny(v))
	case pcommon.ValueTypeMap:
		return MapJSON(EncodeAny(v))
	default:
		return Value{}
	}
}

// toAny sets dst to v.
func toAny(v Value, dst pcommon.Value) error {
	switch v.typ {
	case TypeString:
		dst.SetStr(v.str)
	case TypeInt:
		dst.SetInt(v.Int())
	case TypeBool:
		dst.SetBool(v.Bool())
	case TypeDouble:
		f, _ := v.Number()
		dst.SetDouble(f)
	case TypeBytes:
		dst.SetEmptyBytes().FromRaw([]byte(v.str))
	case TypeSlice, TypeMap:
		return DecodeAny(v.str, dst)
	}
	return nil
}

// columnOf returns the canonical column that an attribute set by an enrich step belongs to, "" for any other attribute.
func columnOf(attr string) string {
	const prefix = "mindscope."
	if len(attr) <= len(prefix) || attr[:len(prefix)] != prefix {
		return ""
	}
	if column := attr[len(prefix):]; IsColumn(column) {
		return column
	}
	return ""
}

// IsColumn tells whether a field is a canonical column: in pdata it is the attribute "mindscope." + name.
func IsColumn(name string) bool {
	switch name {
	case FieldTeam, FieldTaskID, FieldTaskType, FieldTaskProvisional, FieldTaskInherited, FieldAgent, FieldOperation,
		FieldConversation, FieldUser, FieldTool, FieldProvider, FieldModel, FieldQuality, FieldDialect,
		FieldTokensInput, FieldTokensCacheRead, FieldTokensCacheWrite5m, FieldTokensCacheWrite1h, FieldTokensOutput,
		FieldTokensReasoning, FieldCostMicro, FieldCostRest, FieldCostSource, FieldPriceVersion, FieldCostParts,
		FieldCapture:
		return true
	}
	return false
}

// appendAttrs adds the attributes of m behind prefix, canonical ones as columns.
func appendAttrs(fields []Field, m pcommon.Map, prefix string) []Field {
	for k, v := range m.All() {
		if column := columnOf(k); column != "" && prefix == PrefixAttr {
			fields = append(fields, Field{column, fromAny(v)})
			continue
		}
		fields = append(fields, Field{prefix + k, fromAny(v)})
	}
	return fields
}

// carrier holds the fields that all rows of one resource and scope share; they are made once.
type carrier struct {
	resource []Field
	scope    []Field
}

func (c *carrier) setResource(res pcommon.Resource, schemaURL string) {
	c.resource = c.resource[:0]
	service := unknownService
	if v, ok := res.Attributes().Get(conv.ServiceName); ok && v.AsString() != "" {
		service = v.AsString()
	}
	c.resource = append(c.resource, Field{FieldService, String(service)})
	if schemaURL != "" {
		c.resource = append(c.resource, Field{FieldResourceSchemaURL, String(schemaURL)})
	}
	if n := res.DroppedAttributesCount(); n > 0 {
		c.resource = append(c.resource, Field{fieldResourceDropped, Int(int64(n))})
	}
	c.resource = addEntityRefs(c.resource, res)
	c.resource = appendAttrs(c.resource, res.Attributes(), PrefixResource)
}

func (c *carrier) setScope(s pcommon.InstrumentationScope, schemaURL string) {
	c.scope = c.scope[:0]
	for _, f := range []struct{ name, text string }{
		{FieldScopeName, s.Name()}, {FieldScopeVersion, s.Version()}, {FieldScopeSchemaURL, schemaURL},
	} {
		if f.text != "" {
			c.scope = append(c.scope, Field{f.name, String(f.text)})
		}
	}
	if n := s.DroppedAttributesCount(); n > 0 {
		c.scope = append(c.scope, Field{fieldScopeDropped, Int(int64(n))})
	}
	c.scope = appendAttrs(c.scope, s.Attributes(), PrefixScopeAttr)
}

// Counts of what the sender dropped by itself.
const (
	fieldResourceDropped = "resource.dropped_attributes"
	fieldScopeDropped    = "scope.dropped_attributes"
	fieldAttrsDropped    = "dropped_attributes"
	fieldEventsDropped   = "dropped_events"
	fieldLinksDropped    = "dropped_links"
)

func addText(fields []Field, name, text string) []Field {
	if text == "" {
		return fields
	}
	return append(fields, Field{name, String(text)})
}

func addCount(fields []Field, name string, n uint32) []Field {
	if n == 0 {
		return fields
	}
	return append(fields, Field{name, Int(int64(n))})
}
