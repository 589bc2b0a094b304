"""JSON schema of the demo's orders: their shape. What they mean is the saga's to check."""

from aws_cdk.aws_apigateway import JsonSchema, JsonSchemaType

_ID = JsonSchema(type=JsonSchemaType.STRING, pattern="^[A-Za-z0-9_-]{1,64}$")
_CENTS = JsonSchema(type=JsonSchemaType.INTEGER, minimum=0, maximum=100_000_000)
_QUANTITY = JsonSchema(type=JsonSchemaType.INTEGER, minimum=1, maximum=999)
_COUNTRY = JsonSchema(type=JsonSchemaType.STRING, pattern="^[A-Z]{2}$")
_LINE = JsonSchema(
    type=JsonSchemaType.OBJECT,
    required=["sku", "quantity", "unit_price"],
    properties={"sku": _ID, "quantity": _QUANTITY, "unit_price": _CENTS},
)
_FIELDS = {
    "order_id": _ID,
    "customer_id": _ID,
    "lines": JsonSchema(type=JsonSchemaType.ARRAY, items=_LINE, min_items=1, max_items=40),
    "total": _CENTS,
}
COUNTER_SALE = JsonSchema(
    title="CounterSale",
    type=JsonSchemaType.OBJECT,
    required=["order_id", "customer_id", "lines", "total"],
    properties=_FIELDS,
)
ORDER = JsonSchema(
    title="Order",
    type=JsonSchemaType.OBJECT,
    required=["order_id", "customer_id", "ship_to", "lines", "total"],
    properties={**_FIELDS, "ship_to": _COUNTRY},
)
