"""On the 1st: one invoice per household for the months that are over.

A month is a calendar month in Copenhagen, and is billed once. What can't go on its own month's invoice (it came
late, or its household had no PBS number then) goes on the first later month's that is over and not billed yet;
until there is one, it waits. Everything happens in one transaction, which is undone unless the sums agree.
"""

from kronik import Cron, KronikError, NoParams, Retry, RunContext, Show, job, minutes
from msgspec import Struct

from services.dining import database, statements

DUE = statements.load("monthly_billing/due")
PERIODS = statements.load("monthly_billing/periods")
INVOICES = statements.load("monthly_billing/invoices")
LINK = statements.load("monthly_billing/link")
UNPAYABLE = statements.load("monthly_billing/unpayable")
IMBALANCES = statements.load("monthly_billing/imbalances")


class BillingImbalance(KronikError):
    """A period's invoices would not add up to its transactions; nothing was billed."""


class MonthlyBillingResult(Struct, frozen=True, rename="camel"):
    """total_amount: øre. households_skipped: those without a PBS number."""

    invoices_generated: int
    total_amount: int
    households_skipped: int = 0


@job(
    "MONTHLY_BILLING",
    title={"da": "Månedlig Fakturering", "en": "Monthly billing"},
    schedule=Cron("0 4 1 * *", tz="Europe/Copenhagen"),
    timeout=minutes(10),
    retry=Retry(attempts=3, never=(BillingImbalance,)),
    descriptions={
        "da": "Danner én faktura pr. husstand for transaktionerne i hver måned, der er slut og ikke faktureret endnu."
    },
    show=[
        Show(
            "invoicesGenerated",
            {"da": "Invoices generated", "en": "Invoices generated"},
            short={"da": "fakturaer", "en": "invoices"},
        ),
        Show("totalAmount", {"da": "Total amount", "en": "Total amount"}, format="money"),
    ],
)
async def monthly_billing(run: RunContext, params: NoParams) -> MonthlyBillingResult:
    """Makes one invoice per household for the transactions of every month that is over and not billed yet."""
    async with database.connect() as connection, database.step(connection):
        await connection.execute(DUE, run.now)
        await connection.execute(PERIODS, run.now)
        billed = await connection.fetchrow(INVOICES)
        await connection.execute(LINK)
        skipped = await connection.fetch(UNPAYABLE)
        await _check_sums(connection)
    for household in skipped:
        run.warn(_unpayable(household["transactions"], household["amount"]), item=f"household {household['name']}")
    assert billed is not None
    return MonthlyBillingResult(billed["invoices_generated"], billed["total_amount"], len(skipped))


async def _check_sums(connection: database.Connection) -> None:
    """Raises BillingImbalance, which undoes the billing."""
    wrong = await connection.fetch(IMBALANCES)
    if wrong:
        raise BillingImbalance(
            "Nothing was billed, because these periods do not add up: "
            + "; ".join(
                f"{period['first_day']:%Y-%m}: total {period['total_amount']},"
                f" invoices {period['invoiced']}, transactions {period['linked']} øre"
                for period in wrong
            )
        )


def _unpayable(transactions: int, amount: int) -> str:
    kroner, oere = divmod(amount, 100)
    return (
        f"has no PBS number; not billed: {transactions} transaction(s), {kroner},{oere:02} kr."
        " Once it has one, they go on the next month's invoice"
    )
