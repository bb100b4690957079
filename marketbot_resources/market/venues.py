"""Exchanges as the price vendors see them: suffixes, time zone, country, and the trading units that no vendor tells. Pure.

One row per MIC. A lot or tick is the exchange's most common one: exchanges with a tick ladder (Europe under MiFID, Tokyo,
Hong Kong) have finer and coarser ticks by price level; a listing's own values come from `Subject.more`. A lot of None differs
from share to share and is never guessed. The country is the exchange's, used only where a vendor says nothing of the
issuer's. Not here: sessions (`marketbot_resources.calendars`), symbols (`symbols.py`).
"""

from dataclasses import dataclass
from decimal import Decimal

US = frozenset({"XNYS", "XNAS", "ARCX", "XASE", "BATS"})


@dataclass(frozen=True, slots=True)
class Venue:
    """`yahoo`: suffix with its dot, and Yahoo's codes of the exchange where known; `stooq`: suffix, None when not covered."""

    mic: str
    yahoo: str
    stooq: str | None
    timezone: str
    country: str
    lot: Decimal | None
    tick: Decimal
    yahoo_codes: tuple[str, ...]


_TABLE = """
XNYS -    .us  America/New_York               US 1   0.01  NYQ
XNAS -    .us  America/New_York               US 1   0.01  NMS,NGM,NCM
ARCX -    .us  America/New_York               US 1   0.01  PCX
XASE -    .us  America/New_York               US 1   0.01  ASE
BATS -    .us  America/New_York               US 1   0.01  BTS
XTSE .TO  -    America/Toronto                CA 1   0.01  TOR
XTSX .V   -    America/Toronto                CA 1   0.01  VAN
XMEX .MX  -    America/Mexico_City            MX 1   0.01  MEX
BVMF .SA  -    America/Sao_Paulo              BR 100 0.01  SAO
XBUE .BA  -    America/Argentina/Buenos_Aires AR 1   0.05  BUE
XSGO .SN  -    America/Santiago               CL 1   0.01  SGO
XLON .L   .uk  Europe/London                  GB 1   0.1   LSE
XDUB .IR  -    Europe/Dublin                  IE 1   0.01  ISE
XETR .DE  .de  Europe/Berlin                  DE 1   0.01  GER
XFRA .F   -    Europe/Berlin                  DE 1   0.01  FRA
XPAR .PA  -    Europe/Paris                   FR 1   0.01  PAR
XAMS .AS  -    Europe/Amsterdam               NL 1   0.01  AMS
XBRU .BR  -    Europe/Brussels                BE 1   0.01  BRU
XLIS .LS  -    Europe/Lisbon                  PT 1   0.01  LIS
XMIL .MI  -    Europe/Rome                    IT 1   0.01  MIL
XMAD .MC  -    Europe/Madrid                  ES 1   0.01  MCE
XSWX .SW  -    Europe/Zurich                  CH 1   0.01  EBS
XSTO .ST  -    Europe/Stockholm               SE 1   0.01  STO
XHEL .HE  -    Europe/Helsinki                FI 1   0.01  HEL
XCSE .CO  -    Europe/Copenhagen              DK 1   0.01  CPH
XICE .IC  -    Atlantic/Reykjavik             IS 1   0.01  ICE
XOSL .OL  -    Europe/Oslo                    NO 1   0.01  OSL
XWBO .VI  -    Europe/Vienna                  AT 1   0.01  VIE
XWAR .WA  .pl  Europe/Warsaw                  PL 1   0.01  WSE
XPRA .PR  -    Europe/Prague                  CZ 1   0.1   PRA
XBUD .BD  .hu  Europe/Budapest                HU 1   1     BUD
ASEX .AT  -    Europe/Athens                  GR 1   0.01  ATH
XIST .IS  -    Europe/Istanbul                TR 1   0.01  IST
XTAL .TL  -    Europe/Tallinn                 EE 1   0.01  TAL
XRIS .RG  -    Europe/Riga                    LV 1   0.01  RIS
XTAE .TA  -    Asia/Jerusalem                 IL 1   1     TLV
XSAU .SR  -    Asia/Riyadh                    SA 1   0.02  SAU
XJSE .JO  -    Africa/Johannesburg            ZA 1   1     JNB
XTKS .T   .jp  Asia/Tokyo                     JP 100 1     JPX,TYO
XHKG .HK  .hk  Asia/Hong_Kong                 HK ?   0.01  HKG
XSHG .SS  -    Asia/Shanghai                  CN 100 0.01  SHH
XSHE .SZ  -    Asia/Shanghai                  CN 100 0.01  SHZ
XTAI .TW  -    Asia/Taipei                    TW 1000 0.01 TAI
ROCO .TWO -    Asia/Taipei                    TW 1000 0.01 TWO
XKRX .KS  -    Asia/Seoul                     KR 1   1     KSC
XKOS .KQ  -    Asia/Seoul                     KR 1   1     KOE
XNSE .NS  -    Asia/Kolkata                   IN 1   0.05  NSI
XBOM .BO  -    Asia/Kolkata                   IN 1   0.05  BSE
XSES .SI  -    Asia/Singapore                 SG 100 0.01  SES
XKLS .KL  -    Asia/Kuala_Lumpur              MY 100 0.01  KLS
XBKK .BK  -    Asia/Bangkok                   TH 100 0.01  SET
XIDX .JK  -    Asia/Jakarta                   ID 100 1     JKT
XASX .AX  -    Australia/Sydney               AU 1   0.01  ASX
XNZE .NZ  -    Pacific/Auckland               NZ 1   0.01  NZE
"""


def _venue(line: str) -> Venue:
    mic, yahoo, stooq, timezone, country, lot, tick, codes = line.split()
    return Venue(
        mic=mic,
        yahoo="" if yahoo == "-" else yahoo,
        stooq=None if stooq == "-" else stooq,
        timezone=timezone,
        country=country,
        lot=None if lot == "?" else Decimal(lot),
        tick=Decimal(tick),
        yahoo_codes=tuple(codes.split(",")),
    )


VENUES: dict[str, Venue] = {venue.mic: venue for venue in map(_venue, _TABLE.strip().splitlines())}
